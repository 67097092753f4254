"""A Headscale server that many share, and more helpers than one, from the device's side: what the owner reads is what is let in."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support_tunnel.core import login_key
from support_tunnel.core.errors import ConsentRefused, HostError, SupportTunnelError
from support_tunnel.core.ports import HookRun
from support_tunnel.core.st1.admin import AdminOffer
from support_tunnel.core.st1.paths import HeadscalePath
from support_tunnel.core.st1.people import Helper
from support_tunnel.core.st1.signer import KeySigner
from support_tunnel.flows.device.connect import connect_approved
from support_tunnel.flows.device.status import status
from support_tunnel.flows.library import Library
from tests.core.test_login_key import ED25519, SK_P256
from tests.flows.test_organisation import ADA, AUTHORITY, EXAMPLE, certified
from tests.flows.world import KEEPER, World

BEA, CEM = Helper("Bea Öz", ED25519), Helper("Cem", SK_P256)
TAILNET, SERVER = "fd7a:115c:a1e0::/48", "fd7a:115c:a1e0::1"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the admin's tool puts into its answer from here on."""
    ours = AdminOffer.answer

    def change(*, shared: bool = False, helpers: tuple[Helper, ...] = (), ports: tuple[int, ...] | None = None) -> None:
        def answer(offer: AdminOffer, **given: Any) -> Any:
            ways = [replace(p, shared=shared) if isinstance(p, HeadscalePath) else p for p in given.pop("paths")]
            return ours(offer, **{**given, "paths": ways, "helpers": helpers, "ports": ports})

        monkeypatch.setattr(AdminOffer, "answer", answer)

    return change


@pytest.fixture
def tailnet(make_world: Callable[..., World], library: Library) -> World:
    return make_world(library=library, transports=("headscale",))


@pytest.fixture
def real(make_world: Callable[..., World]) -> World:
    """With the roles themselves, to see what they write."""
    return make_world(transports=("headscale",))


def written(world: World) -> Iterator[str]:
    """Files that the roles put on the device."""
    for script in (text for text in world.device.scripts if "st_step" in text):
        for word in re.findall(r"[A-Za-z0-9+/]{80,}", script):
            yield base64.b64decode(word + "=" * (-len(word) % 4)).decode("latin-1")


def let_in(world: World) -> dict[str, str]:
    """By public key: from where it counts, as the session's authorized_keys say."""
    (found,) = {text for text in written(world) if "restrict,pty" in text}
    lines = [line.rsplit(" ", 2) for line in found.splitlines()]
    return {f"{kind} {key}": re.findall(r',from="([^"]*)"$', options)[0] for options, kind, key in lines}


def started(world: World) -> tuple[Any, Any]:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    return device, admin


def consented(world: World) -> dict[str, Any]:
    (line,) = [line for line in world.journal.lines[world.tunnel] if line.split('"')[1] == "consented"]
    found: dict[str, Any] = json.loads(line)[1]
    return found


# --- helpers --------------------------------------------------------------------------------------------------------


def test_the_owner_reads_each_helper_and_their_key_before_they_say_yes(tailnet: World, answers: Any) -> None:
    answers(helpers=(BEA, CEM))
    tailnet.connect()
    shown = " ".join(tailnet.prompt.shown[0].split())
    for helper in (BEA, CEM):
        assert f"{helper.name}, with the key {login_key.fingerprint(helper.key)}" in shown


def test_the_log_and_status_name_them(tailnet: World, answers: Any) -> None:
    answers(helpers=(BEA, CEM))
    device, _ = tailnet.connect()
    said = f"Bea Öz {BEA.fingerprint}, Cem {CEM.fingerprint}"
    assert said in consented(tailnet)["helpers"]
    (row,) = status(tailnet.device_ports())
    assert (row.state, row.helpers) == ("active", (BEA, CEM))
    assert device.result.consent.helpers == (BEA, CEM)


def test_nobody_else_is_named_where_nobody_else_comes(tailnet: World, answers: Any) -> None:
    answers()
    tailnet.connect()
    assert "Also" not in tailnet.prompt.shown[0]
    assert "helpers" not in consented(tailnet)


def test_each_key_counts_from_where_its_holder_comes(real: World, answers: Any) -> None:
    """On the tunnel's own server the admin is behind it, and nowhere else; helpers have nodes of their own."""
    answers(helpers=(BEA, CEM))
    real.connect()
    places = let_in(real)
    assert places.pop(BEA.key) == places.pop(CEM.key) == TAILNET
    assert list(places.values()) == [SERVER]


def test_the_owners_no_lets_no_helper_in(tailnet: World, answers: Any) -> None:
    answers(helpers=(BEA,))
    tailnet.owner_says(lambda _: tailnet.digits, "no")
    device, _ = started(tailnet)
    assert isinstance(device.error, ConsentRefused)
    assert tailnet.left_on_device() == []


@pytest.mark.parametrize(("named", "asked"), [((BEA, CEM), False), ((BEA,), True), ((), True)])
def test_a_rule_of_the_policy_lets_in_whom_it_names(
    make_world: Callable[..., World], library: Library, answers: Any, named: tuple[Helper, ...], asked: bool
) -> None:
    world = make_world(library=library, transports=("headscale",), policy=True)
    assert world.policy is not None
    (rule,) = world.policy.rules
    rules = (replace(rule, helpers=frozenset(helper.key for helper in named)),)
    world.policy = replace(world.policy, rules=rules)
    answers(helpers=(BEA, CEM))
    world.owner_says("no")
    device, _ = started(world)
    assert bool(world.prompt.shown) is asked
    assert isinstance(device.error, ConsentRefused) is asked


def test_a_yes_in_advance_was_to_one_helper_alone(tailnet: World, answers: Any) -> None:
    answers(helpers=(BEA,))
    asked = tailnet.turns.start(lambda: tailnet.request_and_leave(approved=True))
    tailnet.turns.run(asked)
    admin = tailnet.turns.start(tailnet.answer)
    tailnet.turns.run(until=lambda: "answer" in {blob.slot for blob in tailnet.office.boxes[tailnet.tunnel].blobs})
    trying = tailnet.turns.start(lambda: connect_approved(tailnet.device_ports(), keeper=KEEPER))
    tailnet.turns.run(trying)
    assert [one.state for one in trying.result] == ["asks"]
    tailnet.turns.kill(admin)


def test_where_an_organisation_vouches_certificates_of_helpers_count_from_their_places_too(
    make_world: Callable[..., World], answers: Any
) -> None:
    world = make_world(trust=EXAMPLE, transports=("headscale",))
    world.signer = KeySigner(ADA, certificate=certified(ADA, by=AUTHORITY))
    answers(helpers=(BEA,))
    world.owner_says("", "yes")
    assert [job.error for job in started(world)] == [None, None]
    assert set(let_in(world).values()) == {f"{SERVER},{TAILNET}"}
    assert BEA.key not in let_in(world), "no key but what the organisation certifies"


# --- ports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ports", "granted"), [((8080,), (8080,)), ((), ()), (None, (80, 8080))])
def test_ports_that_the_admin_did_not_want_stay_shut(
    real: World, answers: Any, ports: tuple[int, ...] | None, granted: tuple[int, ...]
) -> None:
    real.wish = replace(real.wish, scope=replace(real.wish.scope, ports=(80, 8080)))
    answers(ports=ports)
    device, _ = real.connect()
    assert device.result.consent.scope.ports == granted
    (keys,) = {text for text in written(real) if "restrict,pty" in text}
    assert tuple(map(int, re.findall(r'permitopen="127[.]0[.]0[.]1:(\d+)"', keys))) == granted


# --- a server that many share -----------------------------------------------------------------------------------------


def test_the_device_binds_to_the_address_that_it_was_given(real: World, answers: Any) -> None:
    answers(shared=True, helpers=(BEA,))
    real.device.address = "fd7a:115c:a1e0::1f"
    real.connect()
    (sshd,) = {text for text in written(real) if "ListenAddress" in text}
    assert sshd.startswith("ListenAddress [fd7a:115c:a1e0::1f]:47022\n")
    assert set(let_in(real).values()) == {TAILNET}


def test_it_joins_once(real: World, answers: Any) -> None:
    answers(shared=True)
    real.connect()
    joins = [text for text in real.device.scripts if "st_step" in text and "/node/key" in text]
    assert len(joins) == 1
    assert len([text for text in real.device.scripts if "st_step" in text]) == 2, "and then the session"


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("direct", "through a Headscale server, directly by UDP"),
        ("relay", "through a Headscale server, by its relay: UDP does not get through"),
        ("alone", "to the Headscale server: joined; nobody is connected yet"),
    ],
)
def test_who_is_there_is_said_and_nobody_is_waited_for(tailnet: World, answers: Any, way: str, words: str) -> None:
    answers(shared=True)
    tailnet.device.way = way
    device, _ = tailnet.connect()
    assert device.result.opened.how == words
    assert f"Connected {words}." in tailnet.notes.notes


def test_a_server_that_went_away_after_the_join_opens_nothing(tailnet: World, answers: Any) -> None:
    answers(shared=True)
    tailnet.device.way = ""
    tailnet.owner_agrees()
    device, _ = started(tailnet)
    assert isinstance(device.error, HostError)
    assert "opened" not in tailnet.events()
    assert tailnet.left_on_device() == []


@pytest.mark.parametrize(
    "address",
    [
        "", "::", "::1", "fe80::1", "fd7a:115c:a1e0::", "fd7a:115c:a1e1::1", "2001:db8::1", "100.64.0.1", "fd7a:115c:a1e0::1%eth0",
        "fd7a:115c:a1e0::1]:22\tListenAddress ::", "fd7a:115c:a1e0::1 fd7a:115c:a1e0::2", "no address",
    ],
    ids=range(12),
)  # fmt: skip
def test_an_address_of_a_hostile_server_reaches_no_file(real: World, answers: Any, address: str) -> None:
    answers(shared=True)
    real.device.address = address
    real.owner_agrees()
    device, _ = started(real)
    assert isinstance(device.error, SupportTunnelError)
    assert device.error.code == "headscale.address"
    assert not [text for text in written(real) if "ListenAddress" in text]
    assert "opened" not in real.events()
    assert real.left_on_device() == []


def test_the_owners_scripts_are_told_the_address_once_it_is_known(tailnet: World, answers: Any) -> None:
    answers(shared=True)
    tailnet.hooks.says = {"pre-up": HookRun(0, ""), "post-up": HookRun(0, "")}
    tailnet.connect()
    told = {moment: context.address for moment, context in tailnet.hooks.ran}
    assert told == {"pre-up": "", "post-up": "fd7a:115c:a1e0::17"}


def test_of_several_ways_the_shared_one_is_taken_with_its_address(
    make_world: Callable[..., World], answers: Any
) -> None:
    auto = make_world(transports=("wireguard", "headscale"))
    answers(shared=True)
    auto.device.blocks_wireguard = True
    device, _ = auto.connect()
    assert device.result.opened.transport == "headscale"
    (sshd,) = {text for text in written(auto) if "ListenAddress" in text}
    assert "[fd7a:115c:a1e0::17]:47022" in sshd


def test_the_certificate_counts_from_anywhere_in_a_shared_network(
    make_world: Callable[..., World], library: Library, answers: Any
) -> None:
    world = make_world(library=library, transports=("wireguard", "headscale"))
    answers(shared=True)
    world.connect()
    (wish,) = world.certifier.wishes
    server, network = wish.source.split(",")
    assert (server.endswith("::1"), network) == (True, TAILNET)
    assert wish.before - wish.after == timedelta(seconds=1200, minutes=5)
