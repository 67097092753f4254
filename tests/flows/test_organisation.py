"""Mode B through both verbs: with a certificate the owner is asked, without one nobody is; logins are certified, not pinned."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import HostError, MessageError, UsageError
from support_tunnel.core.st1.signer import PRINCIPAL, KeySigner, Organisation, Trust
from support_tunnel.testing.certifying import FakeCertifier, certificate
from support_tunnel.testing.clock import START
from tests.flows.test_play import clean_and_closed, failed
from tests.flows.test_resume import answered_and_killed, resumed
from tests.flows.turns import Job
from tests.flows.world import World

AUTHORITY, NEXT, ADA = (Ed25519PrivateKey.generate() for _ in range(3))
LINES = tuple(ssh_key.public_line(key.public_key()) for key in (AUTHORITY, NEXT))
EXAMPLE = Trust((Organisation("Example Ltd", LINES),))


def certified(key: Ed25519PrivateKey, *, by: Ed25519PrivateKey = AUTHORITY, principal: str = PRINCIPAL) -> str:
    return certificate(
        by,
        public_key=ssh_key.public_line(key.public_key()),
        principals=(principal,),
        key_id="ada+T-1",
        after=START - timedelta(days=1),
        before=START + timedelta(days=1),
    )


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    made = make_world(trust=EXAMPLE)
    made.signer = KeySigner(ADA, certificate=certified(ADA))
    return made


def let_in(world: World) -> list[str]:
    """Lines of the authorized_keys that the roles put on the device."""
    roles = next(script for script in world.device.scripts if "st_step" in script)
    files = [base64.b64decode(word + "=" * (-len(word) % 4)) for word in re.findall(r"[A-Za-z0-9+/]{80,}", roles)]
    (found,) = [file.decode() for file in files if b"restrict,pty" in file]
    return found.splitlines()


def both(world: World) -> tuple[Job, Job]:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    return device, admin


def test_the_owner_reads_who_vouches_and_needs_no_digits(world: World) -> None:
    world.owner_says("", "yes")
    device, admin = both(world)
    assert (device.error, admin.error) == (None, None)
    assert "verified: Example Ltd (ada+T-1)" in world.prompt.shown[0]
    assert "NOT VERIFIED" not in world.prompt.shown[0]
    assert device.result.consent.organisation == "Example Ltd"
    consented = world.journal.lines[world.tunnel][1]
    assert '"organisation": "Example Ltd"' in consented
    assert '"key_id": "ada+T-1"' in consented


def test_no_key_is_let_in_but_what_the_organisation_certifies(world: World) -> None:
    world.owner_says("", "yes")
    both(world)
    lines = let_in(world)
    assert [" ".join(line.split()[-2:]) for line in lines] == list(LINES)
    for line in lines:
        assert line.startswith(f'cert-authority,principals="st-{world.tunnel[:8]}",restrict,pty,expiry-time="')


def test_the_certificate_is_for_this_session_by_the_devices_clock_and_lies_where_ssh_finds_it(world: World) -> None:
    world.owner_says("", "yes")
    device, admin = both(world)
    (wish,) = world.certifier.wishes
    assert (wish.principal, wish.identity) == (f"st-{world.tunnel[:8]}", f"st:{world.tunnel[:8]}:Ann:T-7")
    assert wish.before == device.result.opened.until == admin.result.until
    assert wish.before - wish.after == timedelta(seconds=1200, minutes=5)
    stored = world.admin_vault.get(world.tunnel, "session-key-cert.pub")
    assert stored is not None
    assert stored.reveal().startswith(b"ssh-ed25519-cert-v01@openssh.com ")


@pytest.mark.parametrize(
    ("signer", "code"),
    [
        (lambda: KeySigner(ADA), "signer.required"),
        (lambda: KeySigner(ADA, certificate=certified(ADA, by=ADA)), "signer.unknown_ca"),
        (lambda: KeySigner(ADA, certificate=certified(ADA, principal="root")), "signer.principal"),
        (lambda: KeySigner(NEXT, certificate=certified(ADA)), "signer.signature"),
    ],
)
def test_a_phisher_with_the_code_gets_no_prompt_at_all(
    world: World, signer: Callable[[], KeySigner], code: str
) -> None:
    world.owner_agrees()
    world.signer = signer()
    device, admin = both(world)
    assert isinstance(device.error, MessageError)
    assert device.error.code == code
    assert (world.prompt.shown, world.prompt.asked) == ([], [])
    assert failed(admin).code == "tunnel.closed"
    clean_and_closed(world)
    assert world.events() == ["requested", "answer-refused", "ended"]


def test_digits_are_still_compared_when_they_are_typed(world: World) -> None:
    world.owner_says("000000", lambda _: world.digits, "yes")
    device, _ = both(world)
    assert device.result.consent.how == "typed"


def test_another_name_of_the_principal_is_a_setting_of_the_device(make_world: Callable[..., World]) -> None:
    world = make_world(trust=Trust(EXAMPLE.organisations, principal="example-helpers"))
    world.signer = KeySigner(ADA, certificate=certified(ADA, principal="example-helpers"))
    world.owner_says("", "yes")
    device, _ = both(world)
    assert device.error is None


def test_a_device_without_organisation_still_pins_the_key(make_world: Callable[..., World]) -> None:
    world = make_world()
    world.connect()
    (wish,) = world.certifier.wishes
    (line,) = let_in(world)
    assert line.startswith("restrict,pty,")
    assert line.endswith(f" {wish.public_key}")


@pytest.mark.parametrize(
    ("bent", "code"),
    [
        ({"refuses": HostError("certificate.refused", "the token was not touched")}, "certificate.refused"),
        ({"principal": "st-00000000"}, "certificate.principal"),
    ],
)
def test_without_a_certificate_nobody_is_told_digits_and_all_is_taken_down(
    world: World, bent: dict[str, Any], code: str
) -> None:
    world.owner_says("", "yes")
    world.certifier = FakeCertifier(AUTHORITY, **bent)
    device, admin = both(world)
    assert failed(admin).code == code
    assert world.digits == ""
    assert device.error is not None
    clean_and_closed(world)


def test_a_resumed_answer_asks_for_the_same_certificate_by_the_devices_clock(world: World) -> None:
    device = answered_and_killed(world)
    world.clock.pause(90)
    again = resumed(world)
    world.turns.run(device, again)
    assert (device.error, again.error) == (None, None)
    first, second = world.certifier.wishes
    assert first == second
    assert second.before == device.result.opened.until


def test_who_is_certified_but_cannot_have_sessions_certified_is_told_so(world: World) -> None:
    world.owner_says("", "yes")
    device = world.turns.start(world.request)
    admin = world.turns.start(lambda: world.answer(certifier=None))
    world.turns.run(device, admin)
    assert admin.error is None
    assert [note for note in world.notes.notes if "no session_certificate is set" in note]
    world.stop_by_admin()
    assert world.certifier.wishes == []


def test_a_ticket_that_is_no_word_is_refused_before_anything_is_made(world: World) -> None:
    world.ticket = "$(id)"
    _, admin = both(world)
    assert isinstance(admin.error, UsageError)
    assert admin.error.code == "usage.ticket"
    assert world.cloud.everything() == [world.foreign]
