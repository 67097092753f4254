"""What goes wrong on the admin's side between the code and the session: nothing secret leaves, nothing live is touched.

05-threats 21, 38, 41, 43 and 46; that nothing stays wherever a call fails is shown by test_faults.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from support_tunnel.core.errors import CloudError, HostError, MessageError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LedgerEntry, Server, ServerSpec
from support_tunnel.core.st1 import canonical, fields
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.entropy import SYSTEM
from support_tunnel.core.st1.seal import OFFER, Header, payload, seal, split, unseal
from support_tunnel.flows.admin.record import CLAIM, LOGIN_KEY, SESSION_KEY, STATE
from support_tunnel.flows.admin.unfinished import unfinished
from support_tunnel.testing.hosts import FakeServerShell
from tests.flows.hosts import CloudConnector
from tests.flows.turns import Job
from tests.flows.world import World

# --- the server answers under another key (43) ----------------------------------------------------------------------


class Impostor(CloudConnector):
    """Somebody answers for the server at the n-th connect."""

    def __init__(self, world: World, at: int) -> None:
        super().__init__(world.server, world.cloud)
        self._at = at
        self.patient: list[bool] = []

    def connect(self, address: str, **login: Any) -> FakeServerShell:
        self.patient.append(bool(login.get("first_contact")))
        if len(self.logins) + 1 == self._at:
            raise HostError("ssh.hostkey", "somebody may be answering for the server")
        return super().connect(address, **login)


@pytest.mark.parametrize("at", [1, 2], ids=["first contact", "after the rotation"])
def test_43_somebody_else_answers_for_the_server(world: World, at: int) -> None:
    device = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    impostor = Impostor(world, at)
    ports = world.admin_ports(connector=impostor)
    world.admin_ports = lambda *_, **__: ports  # type: ignore[method-assign]  # of this world alone
    admin = world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert isinstance(admin.error, HostError)
    assert admin.error.code == "ssh.hostkey"
    assert world.left_on_admin() == []
    assert bool(world.server.scripts) is (at == 2), "at the first contact nothing is sent at all"
    assert impostor.patient == [True, False][:at], "only the first may find the image's own key there for a while"
    assert "PresharedKey" not in bodies(world)
    assert "answer" not in {blob.slot for blob in world.office.boxes[world.tunnel].blobs}


def test_43_the_key_is_sent_when_nobody_does(world: World) -> None:
    """The test above looks for the right thing."""
    world.connect()
    assert "PresharedKey" in bodies(world)


def bodies(world: World) -> str:
    """The texts of files in the scripts that the server was sent."""
    packed = (
        re.findall(r"(?:[A-Za-z0-9+/]{4}){4,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", script.reveal())
        for script in world.server.scripts
    )
    return "".join(base64.b64decode(one).decode("latin-1") for found in packed for one in found)


# --- what a cloud gets to know (46) ---------------------------------------------------------------------------------


def spellings(secret: bytes) -> list[str]:
    return [secret.hex(), base64.b64encode(secret).decode().rstrip("="), base64.urlsafe_b64encode(secret).decode()]


def test_46_what_the_cloud_is_given_holds_no_secret_of_the_tunnel(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ServerSpec] = []
    create = world.cloud.create

    def seen(spec: ServerSpec) -> Server:
        asked.append(spec)
        return create(spec)

    monkeypatch.setattr(world.cloud, "create", seen)
    world.connect()
    (spec,) = asked
    assert world.code is not None
    told = spec.user_data + spec.name + "".join(spec.tags.values())
    kept = {name: world.admin_vault.get(world.tunnel, name) for name in (CLAIM, LOGIN_KEY, SESSION_KEY, STATE)}
    secrets = {name: value.reveal() for name, value in kept.items() if value is not None}
    assert secrets.keys() == kept.keys()
    psk = psk_of(world)
    code = world.code.text().reveal()
    for raw in (psk, world.code.prk.reveal(), secrets[CLAIM]):
        assert [spelt for spelt in spellings(raw) if spelt in told] == []
    for private in (LOGIN_KEY, SESSION_KEY):
        lines = [line for line in secrets[private].decode().splitlines()[2:-1] if len(line) > 20]
        assert lines
        assert [line for line in lines if line in told] == []
    assert not [code[i : i + 8] for i in range(len(code) - 7) if code[i : i + 8] in told]
    # What it does hold: the host key of the first minute, which is gone once it was used.
    assert "BEGIN OPENSSH PRIVATE KEY" in spec.user_data


def psk_of(world: World) -> bytes:
    state = world.admin_vault.get(world.tunnel, STATE)
    assert state is not None
    return AdminSession.load(state).psk.reveal()


# --- an offer that is none (21) -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["mlkem768", "x25519"])
def test_21_for_an_offer_with_a_useless_key_no_server_is_made(world: World, key: str) -> None:
    world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    assert world.code is not None
    box = world.office.boxes[world.tunnel]
    prk, header = world.code.prk.reveal(), Header(OFFER, world.tunnel)
    offered: Any = payload(OFFER, unseal(prk, *split(box.blobs[0].data, header)))
    offered["kem"][key] = fields.encoded(bytes({"mlkem768": 1184, "x25519": 32}[key]))
    forged = seal(prk, header, canonical.dumps(offered), SYSTEM)
    box.blobs[0] = type(box.blobs[0])(1, "offer", forged)
    with pytest.raises(MessageError) as refused:
        world.answer()
    assert refused.value.code == "offer.kem"
    assert world.left_on_admin() == []


# --- a tool that was killed is not forgotten (38) -------------------------------------------------------------------


def killed_while_the_owner_thinks(world: World) -> Job:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(admin)
    return device


def test_38_the_next_tool_names_what_is_unfinished_and_what_to_do(world: World) -> None:
    killed_while_the_owner_thinks(world)
    (said,) = unfinished(world.admin_ports())
    short = world.tunnel[:8]
    assert said.startswith(f"Unfinished: {short} (answered since ")
    assert f"`fab resume {short}`" in said
    assert "`fab sweep`" in said
    world.sweep()
    assert list(unfinished(world.admin_ports())) == []


def test_38_what_is_connected_or_worked_on_is_not_unfinished(world: World) -> None:
    world.turns.start(world.request)
    world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.digits))
    assert list(unfinished(world.admin_ports())) == []


def test_38_one_that_cannot_be_resumed_is_only_swept(world: World) -> None:
    now = world.clock.now()
    world.code = None
    entry = LedgerEntry(TunnelId("ab" * 16), "fake", "launched", now, now + timedelta(hours=1))
    world.ledger.write(entry)
    (said,) = unfinished(world.admin_ports())
    assert "resume" not in said
    assert "`fab sweep`" in said


# --- a sweep while others fail (41) ---------------------------------------------------------------------------------

API_FAILS = [
    HostError("api.unreachable", "away"),
    HostError("api.unavailable", "status 500"),
    UsageError("api.token", "401"),
    WrongState("tunnel.unknown", "never heard of it"),
]
CLOUD_FAILS = [CloudError("cloud.retry", "500"), CloudError("cloud.auth", "401"), CloudError("cloud.odd-answer", "")]


def live(make_world: Callable[..., World]) -> World:
    """A session of ours, and a server of a colleague's that is in time."""
    world: World = make_world(policy=True)
    world.connect()
    tags = {"st-tunnel": "c0ffee00" * 4, "st-owner": "bob", "st-expires": str(int(world.clock.now().timestamp()) + 60)}
    world.cloud.create(ServerSpec(name="theirs", user_data="", expires=world.clock.now(), tags=tags))
    return world


@pytest.mark.parametrize("error", API_FAILS, ids=lambda error: error.code)
def test_41_whatever_the_api_answers_a_sweep_touches_nothing_live(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, error: SupportTunnelError
) -> None:
    world = live(make_world)

    def refuse(*_: object, **__: object) -> None:
        raise error

    for call in ("messages", "post", "close", "tunnels"):
        monkeypatch.setattr(f"support_tunnel.testing.fake_mailbox.FakeMailbox.{call}", refuse)
    before = world.cloud.everything()
    swept = world.sweep()
    assert (swept.ended, swept.failed) == ([], [])
    assert world.cloud.everything() == before
    assert [entry.stage for entry in world.ledger.entries()] == ["connected"]


@pytest.mark.parametrize("error", [*CLOUD_FAILS, None], ids=lambda error: error.code if error else "empty")
def test_41_whatever_the_cloud_lists_a_sweep_touches_nothing_live(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, error: SupportTunnelError | None
) -> None:
    world = live(make_world)

    def answer() -> Sequence[Server]:
        if error is not None:
            raise error
        return []

    before = world.cloud.everything()
    with monkeypatch.context() as patch:
        patch.setattr(world.cloud, "servers", answer)
        swept = world.sweep()
    assert swept.ended == []
    assert [label for label, _ in swept.failed] == (["cloud fake"] if error else [])
    assert world.cloud.everything() == before
    assert [entry.stage for entry in world.ledger.entries()] == ["connected"]
