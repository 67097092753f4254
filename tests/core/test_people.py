"""Helpers in an answer: what a hostile one may say of them, who may come by which path, and ports narrowed by the admin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.paths import HeadscalePath, WireguardPath
from support_tunnel.core.st1.payloads import Answer
from support_tunnel.core.st1.people import Helper
from support_tunnel.core.st1.seal import LONGEST_MESSAGE
from support_tunnel.core.st1.signer import PRINCIPAL, KeySigner, Trust
from support_tunnel.core.states import DeviceState
from support_tunnel.testing.certifying import certificate
from tests.core.test_headscale_path import GOOD
from tests.core.test_login_key import ED25519, P256, SK_ED25519, SK_P256

WAYS = ("wireguard", "headscale")
BEA, CEM = Helper("Bea", ED25519), Helper("Çem Öz", SK_P256)


def refused(parties: Any, **changes: Any) -> MessageError:
    """What the device says to a hostile answer of version 2; the tunnel is over then."""
    device = parties.offer(transports=WAYS)
    given = {"paths": [GOOD], **changes}
    mutate = given.pop("mutate", lambda answer: answer)
    with pytest.raises(MessageError) as caught:
        parties.opened(device, parties.hostile_answer(device.message, mutate=mutate, **given))
    assert device.state is DeviceState.STOPPED
    return caught.value


def with_helpers(*helpers: Any) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, helpers=helpers)


class Raw:
    """A helper as somebody else's tool writes them."""

    def __init__(self, said: object) -> None:
        self.said = said

    def to_json(self) -> object:
        return self.said


@pytest.mark.parametrize("helpers", [(), (BEA,), (BEA, CEM, Helper("Dee", P256), Helper("Eve", SK_ED25519))])
def test_they_arrive_in_their_order(parties: Any, helpers: tuple[Helper, ...]) -> None:
    device = parties.offer(transports=WAYS)
    admin = parties.answer(device.message, paths=[GOOD], helpers=helpers)
    assert parties.opened(device, admin.message).answer.helpers == helpers
    assert AdminSession.load(admin.dump()).answer.helpers == helpers


def test_eight_fit_beside_a_shared_server(parties: Any) -> None:
    keys = [ssh_key.new_keypair()[1] for _ in range(8)]
    helpers = [Helper(f"{'ł' * 63}{number}", key) for number, key in enumerate(keys)]
    device = parties.offer(transports=WAYS)
    admin = parties.answer(device.message, paths=[replace(GOOD, shared=True)] * 4, helpers=helpers)
    assert len(admin.message) <= LONGEST_MESSAGE
    assert parties.opened(device, admin.message).answer.helpers == tuple(helpers)


def test_a_ninth_is_refused_by_both(parties: Any) -> None:
    helpers = [Helper(f"H{number}", ssh_key.new_keypair()[1]) for number in range(9)]
    with pytest.raises(UsageError) as caught:
        parties.answer(parties.offer(transports=WAYS).message, paths=[GOOD], helpers=helpers)
    assert caught.value.code == "msg.value"
    error = refused(parties, mutate=with_helpers(*helpers))
    assert (error.code, "0 to 8" in error.message) == ("msg.value", True)


@pytest.mark.parametrize(
    "said",
    [
        None, "Bea", 7, [], {}, {"name": "Bea"}, {"key": ED25519}, {"key": ED25519, "name": "Bea", "admin": True},
        {"key": None, "name": "Bea"}, {"key": [ED25519], "name": "Bea"}, {"key": ED25519 + "\n", "name": "Bea"},
        {"key": f'command="id" {ED25519}', "name": "Bea"}, {"key": f"{ED25519}\n{P256}", "name": "Bea"}, {"key": "", "name": "Bea"},
        {"key": ED25519, "name": "Bea\x1b[2J"}, {"key": ED25519, "name": "Bea\n"}, {"key": ED25519, "name": "Be\u202ea"},
        {"key": ED25519, "name": ""}, {"key": ED25519, "name": "B" * 65}, {"key": ED25519, "name": 7}, {"key": ED25519, "name": "$(id)"},
    ],
    ids=range(21),
)  # fmt: skip
def test_helpers_that_are_none(parties: Any, said: object) -> None:
    error = refused(parties, mutate=with_helpers(Raw(said)))
    assert error.code in ("msg.value", "msg.fields")
    assert "helpers" in error.message
    assert "\x1b" not in error.message


@pytest.mark.parametrize("said", [None, {}, "", 0, True], ids=str)
def test_what_is_no_list(parties: Any, said: object) -> None:
    class Bent(Answer):
        def unsigned_json(self) -> dict[str, object]:
            return {**Answer.unsigned_json(self), "helpers": said}

    fields = tuple(Answer.__dataclass_fields__)
    assert refused(parties, mutate=lambda a: Bent(**{n: getattr(a, n) for n in fields})).code == "msg.value"


@pytest.mark.parametrize(
    "helpers",
    [
        (BEA, replace(CEM, key=BEA.key)),
        (BEA, replace(CEM, name=BEA.name)),
        (BEA, replace(CEM, name="BEA")),
        (replace(BEA, name="ann support"),),
        (BEA, BEA),
        (replace(BEA, name="Ann Support"),),
    ],
    ids=[
        "key twice",
        "name twice",
        "name in large letters",
        "the admin's in small ones",
        "all twice",
        "the admin's name",
    ],
)
def test_people_whom_an_owner_could_not_tell_apart(parties: Any, helpers: tuple[Helper, ...]) -> None:
    assert refused(parties, mutate=with_helpers(*helpers)).code == "msg.value"
    with pytest.raises(UsageError) as caught:
        parties.answer(parties.offer(transports=WAYS).message, paths=[GOOD], helpers=helpers)
    assert caught.value.code == "msg.value"


def test_a_key_of_the_admin_under_another_name(parties: Any) -> None:
    for key in (parties.session_key, parties.signer.line):
        assert refused(parties, mutate=with_helpers(Helper("Bea", key))).code == "msg.value"


def test_the_signers_key_inside_a_certificate_too(parties: Any) -> None:
    private, key = ssh_key.new_keypair()
    signed = certificate(
        Ed25519PrivateKey.generate(),
        public_key=key,
        principals=[PRINCIPAL],
        key_id="ann",
        after=parties.now,
        before=parties.now + timedelta(hours=1),
    )
    parties.signer = KeySigner.from_openssh(private, certificate=signed)
    assert refused(parties, mutate=with_helpers(Helper("Bea", key))).code == "msg.value"


def test_a_revoked_key_is_nobodys(parties: Any) -> None:
    device = parties.offer(transports=WAYS)
    parties.trust = Trust(revoked=frozenset({CEM.fingerprint}))
    m2 = parties.answer(device.message, paths=[GOOD], helpers=[BEA, CEM]).message
    with pytest.raises(MessageError) as caught:
        parties.opened(device, m2)
    assert (caught.value.code, device.state) == ("signer.revoked", DeviceState.STOPPED)


def test_no_helpers_where_they_could_not_come(parties: Any) -> None:
    """WireGuard ends at the admin's server: whoever else was named would wait in vain, and the owner would have agreed to it."""
    wireguard = WireguardPath("192.0.2.7:51820", parties.wireguard)
    for paths in ([wireguard], [wireguard, GOOD], [GOOD, wireguard]):
        assert refused(parties, paths=paths, mutate=with_helpers(BEA)).code == "msg.value"
        with pytest.raises(UsageError):
            parties.answer(parties.offer(transports=WAYS).message, paths=paths, helpers=[BEA])


def test_version_1_has_none(parties: Any) -> None:
    device = parties.offer()
    assert "helpers" not in parties.answer(device.message).answer.to_json()
    with pytest.raises(UsageError) as caught:
        parties.answer(device.message, helpers=[BEA])
    assert caught.value.code == "msg.value"

    class Bent(Answer):
        def unsigned_json(self) -> dict[str, object]:
            return {**Answer.unsigned_json(self), "helpers": []}

    fields = tuple(Answer.__dataclass_fields__)
    bent = parties.hostile_answer(device.message, mutate=lambda a: Bent(**{n: getattr(a, n) for n in fields}))
    with pytest.raises(MessageError) as refusal:
        parties.opened(device, bent)
    assert refusal.value.code == "msg.fields"


def test_version_2_says_that_there_are_none(parties: Any) -> None:
    class Bent(Answer):
        def unsigned_json(self) -> dict[str, object]:
            return {key: value for key, value in Answer.unsigned_json(self).items() if key != "helpers"}

    fields = tuple(Answer.__dataclass_fields__)
    assert refused(parties, mutate=lambda a: Bent(**{n: getattr(a, n) for n in fields})).code == "msg.fields"


def test_whom_the_signature_covers(parties: Any) -> None:
    """Somebody who holds prk2, but not the signer's key, adds a helper."""
    sealed = parties.hostile_answer
    device = parties.offer(transports=WAYS)
    answer = parties.answer(device.message, paths=[GOOD], helpers=[BEA]).answer

    class Fixed:
        line = parties.signer.line

        def sign(self, message: bytes) -> bytes:
            return bytes(answer.signature)

    with pytest.raises(MessageError) as caught:
        parties.opened(device, sealed(device.message, paths=[GOOD], signer=Fixed(), mutate=with_helpers(BEA, CEM)))
    assert caught.value.code == "signer.signature"


# --- ports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "granted"), [(None, (80, 8080)), ((), ()), ((8080,), (8080,)), ((8080, 80), (80, 8080))]
)
def test_the_admin_may_narrow_the_ports(parties: Any, wanted: tuple[int, ...] | None, granted: tuple[int, ...]) -> None:
    device = parties.offer(scope=Scope("shell", (80, 8080), files=True))
    admin = parties.answer(device.message, scope=device.offer.scope, ports=wanted)
    session = parties.opened(device, admin.message)
    assert session.answer.scope == admin.answer.scope == Scope("shell", granted, files=True)


@pytest.mark.parametrize("ports", [(22,), (8080, 22), (65536,), tuple(range(1, 18))])
def test_and_only_narrow_them(parties: Any, ports: tuple[int, ...]) -> None:
    device = parties.offer(scope=Scope("shell", (80, 8080)))
    with pytest.raises(UsageError) as caught:
        parties.answer(device.message, scope=device.offer.scope, ports=ports)
    assert caught.value.code in ("scope.exceeds", "scope.ports")


# --- a server of many tunnels ---------------------------------------------------------------------------------------

NAMES = [
    "https://hs.example.net:443",
    "https://a.b:1",
    f"https://{'a' * 63}.{'b-c.' * 40}net:65535",
    "https://xn--bcher-kva.example:443",
]


@pytest.mark.parametrize("control", [*NAMES, "https://192.0.2.7:443", "https://[2001:db8::7]:443"])
def test_a_shared_server_may_have_a_name(parties: Any, control: str) -> None:
    path = HeadscalePath(control, GOOD.authority, Secret(GOOD.join_key.reveal()), shared=True)
    device = parties.offer(transports=WAYS)
    assert parties.opened(device, parties.answer(device.message, paths=[path]).message).answer.paths == (path,)


@pytest.mark.parametrize("control", NAMES)
def test_a_tunnels_own_server_has_none(parties: Any, control: str) -> None:
    assert refused(parties, paths=[replace(GOOD, control=control)]).code == "msg.value"


@pytest.mark.parametrize(
    "control",
    [
        "http://hs.example.net:443", "https://hs.example.net", "https://hs.example.net:443/", "https://hs.example.net:0443", "https://hs.example.net:70000",
        "https://HS.example.net:443", "https://hs.example.net.:443", "https://hs:443", "https://.net:443", "https://hs..net:443", "https://-hs.net:443",
        "https://hs-.net:443", "https://u@hs.example.net:443", "https://hs.example.net:443\n--ssh", "https://hs_1.example.net:443", "https://192.0.2:443",
        "https://1.2.3.256:443", "https://0x7f.1:443", "https://hs.example.1:443", f"https://{'a' * 64}.net:443", f"https://{'a.' * 126}net:443",
        "https://hs.exämple.net:443", "https://*.example.net:443", "https://$(id).net:443", "https://[hs.example.net]:443", "https://169.254.169.254:443",
    ],
)  # fmt: skip
def test_names_that_are_none(parties: Any, control: str) -> None:
    error = refused(parties, paths=[replace(GOOD, control=control, shared=True)])
    assert (error.code, control in error.message) == ("msg.value", False)


@pytest.mark.parametrize("said", [None, 0, 1, "true", "", []], ids=repr)
def test_shared_is_yes_or_no(parties: Any, said: Any) -> None:
    assert refused(parties, paths=[replace(GOOD, shared=said)]).code == "msg.value"
