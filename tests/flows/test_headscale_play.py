"""The second transport on fakes: what the throw-away Headscale is told, what the device is given, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from support_tunnel.core.errors import CoordinatorError, HostError, UsageError
from support_tunnel.core.names import Names
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.paths import HeadscalePath
from support_tunnel.flows.admin.coordinate import JOIN_SECONDS
from support_tunnel.flows.admin.record import STATE
from support_tunnel.flows.library import Library
from support_tunnel.testing.fake_headscale import FakeHeadscale
from tests.flows.hosts import ServerModel
from tests.flows.world import World


@pytest.fixture
def tailnet(make_world: Callable[..., World], library: Library) -> World:
    return make_world(library=library, transports=("headscale",))


def ways_of(world: World) -> Sequence[Any]:
    """The answer's paths."""
    state = world.admin_vault.get(world.tunnel, STATE)
    assert state is not None
    return AdminSession.load(state).answer.paths


def path_of(world: World) -> HeadscalePath:
    (path,) = ways_of(world)
    assert isinstance(path, HeadscalePath)
    return path


def test_both_are_nodes_and_the_way_in_leads_to_the_device(tailnet: World) -> None:
    _, admin = tailnet.connect()
    assert {name for node in tailnet.headscale.nodes.values() for name in node.addresses if ":" in name} == {
        "fd7a:115c:a1e0::1",
        "fd7a:115c:a1e0::2",
    }
    hops = tailnet.door.hops[tailnet.tunnel]
    assert (hops.device_address, hops.device_port) == ("fd7a:115c:a1e0::2", 47022)
    assert (admin.result.transport, admin.result.way) == ("headscale", "direct")


def test_the_policy_is_one_way_to_one_port_and_was_there_before_anybody_joined(
    tailnet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    join = FakeHeadscale.join

    def watched(server: FakeHeadscale, key: Secret[str], name: str) -> str:
        seen.append(server.policy.text if server.policy else None)
        return join(server, key, name)

    monkeypatch.setattr(FakeHeadscale, "join", watched)
    tailnet.connect()
    assert len(seen) == 2
    device, helper = f"tag:st-tunnel--d-{tailnet.tunnel[:8]}", "tag:st-tunnel--h-server"
    for text in seen:
        assert text is not None
        ways = [grant for grant in json.loads(text)["grants"] if any("tag:" in end for end in grant["dst"])]
        assert ways == [{"src": [helper], "dst": [device], "ip": ["tcp:47022"]}]


def test_keys_are_for_once_for_minutes_and_tagged(tailnet: World) -> None:
    start = tailnet.clock.now()
    tailnet.connect()
    known = list(tailnet.headscale.keys.values())
    assert len(known) == 2
    for key in known:
        assert (key.reusable, key.ephemeral, key.used, key.user) == (False, True, True, None)
        assert key.expires is not None
        assert key.expires <= start + timedelta(seconds=JOIN_SECONDS + 60)
    assert JOIN_SECONDS <= 15 * 60
    assert all(key.expires <= tailnet.clock.now() for key in tailnet.headscale.api_keys.values() if key.expires)


def test_the_join_key_is_in_the_sealed_answer_alone(tailnet: World) -> None:
    device, admin = tailnet.connect()
    key = path_of(tailnet).join_key.reveal()
    box = tailnet.office.boxes[tailnet.tunnel]
    seen = [
        *tailnet.notes.notes,
        *map(str, tailnet.journal.lines[tailnet.tunnel]),
        *(entry.tunnel + str(entry) for entry in tailnet.ledger.entries()),
        repr(device.result) + repr(admin.result),
        *(blob.data.decode("latin-1") for blob in box.blobs),
        *(repr(script) for script in tailnet.server.scripts),
    ]
    assert not [text for text in seen if key in text or key.removeprefix("hskey-auth-")[:12] in text]


def test_the_end_by_the_admin_leaves_no_node_and_no_good_key(tailnet: World) -> None:
    tailnet.connect()
    tailnet.turns.run(tailnet.turns.start(tailnet.stop_by_admin))
    tailnet.turns.run()
    assert tailnet.headscale.nodes == {}
    assert any("list is empty" in note for note in tailnet.notes.notes), "and it is shown"
    now = tailnet.clock.now()
    assert all(key.expires is not None and key.expires <= now for key in tailnet.headscale.keys.values())
    assert all(key.expires is not None and key.expires <= now for key in tailnet.headscale.api_keys.values())
    assert tailnet.left() == []


@pytest.mark.parametrize("code", ["headscale.unavailable", "headscale.auth"])
def test_a_headscale_that_is_gone_keeps_nothing_from_ending(tailnet: World, code: str) -> None:
    tailnet.connect()
    tailnet.headscale.trouble = CoordinatorError(code, "its database is gone")
    stopping = tailnet.turns.start(tailnet.stop_by_admin)
    tailnet.turns.run(stopping)
    tailnet.turns.run()
    assert stopping.error is None
    assert any("ends with its server" in note for note in tailnet.notes.notes)
    assert tailnet.left() == []


def test_a_key_that_expired_while_the_owner_read_opens_nothing(tailnet: World) -> None:

    def slowly(question: str) -> str:
        tailnet.manual.advance(JOIN_SECONDS + 1)
        return "yes"

    tailnet.owner_says(lambda _: tailnet.digits, slowly)
    device, admin = tailnet.turns.start(tailnet.request), tailnet.turns.start(tailnet.answer)
    tailnet.turns.run(device, admin)
    assert isinstance(device.error, HostError)
    assert device.error.code == "headscale.late"
    assert "15 minutes" in device.error.message
    assert "opened" not in tailnet.events()
    assert tailnet.left() == []


def test_another_failure_of_the_join_keeps_its_own_words(tailnet: World) -> None:
    tailnet.device.on_join = lambda: (_ for _ in ()).throw(
        CoordinatorError("headscale.refused", "authkey already used")
    )
    tailnet.owner_agrees()
    device, admin = tailnet.turns.start(tailnet.request), tailnet.turns.start(tailnet.answer)
    tailnet.turns.run(device, admin)
    assert isinstance(device.error, HostError)
    assert device.error.code == "converge.failed"
    assert tailnet.left() == []


def test_somebody_who_joined_before_us_is_refused(tailnet: World) -> None:
    stranger = tailnet.headscale.mint_key(None, user=None, tags=["tag:x"], ephemeral=True, reusable=False)
    tailnet.headscale.join(stranger.text, "stranger")
    device, admin = tailnet.turns.start(tailnet.request), tailnet.turns.start(tailnet.answer)
    tailnet.turns.run(until=lambda: admin.ended)
    assert isinstance(admin.error, HostError)
    assert admin.error.code == "headscale.first"
    assert "answer" not in {blob.slot for blob in tailnet.office.boxes[tailnet.tunnel].blobs}
    assert tailnet.left_on_admin() == []
    tailnet.turns.kill(device)


def test_an_admin_without_the_programs_says_so_before_a_server_is_made(tailnet: World) -> None:
    tailnet.programs = None
    device, admin = tailnet.turns.start(tailnet.request), tailnet.turns.start(tailnet.answer)
    tailnet.turns.run(until=lambda: admin.ended)
    assert isinstance(admin.error, UsageError)
    assert admin.error.code == "headscale.server-programs"
    assert tailnet.cloud.everything() == [tailnet.foreign]
    assert tailnet.left_on_admin() == []
    tailnet.turns.kill(device)


def test_what_the_device_is_given_and_by_what_names(make_world: Callable[..., World]) -> None:
    """With the real roles: unit, interface and table have the names by which everything else ends them."""
    world = make_world(transports=("headscale",))
    world.connect()
    names = Names(world.tunnel)
    opened = next(text for text in world.device.scripts if "st_step" in text and names.tunnel_unit in text)
    assert "fd7a:115c:a1e0::2" not in opened or names.session_unit in opened
    assert path_of(world).join_key.reveal() not in opened, "it is data in an encoded file, no word of a command"


def test_a_server_that_cannot_tell_the_way_ends_no_session(tailnet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ServerModel.run_script

    def lost(server: ServerModel, script: Secret[str], *, timeout: float) -> Completed:
        if " ping " in script.reveal():
            raise HostError("host.lost", "the connection broke")
        return run(server, script, timeout=timeout)

    monkeypatch.setattr(ServerModel, "run_script", lost)
    _, admin = tailnet.connect()
    assert (admin.result.transport, admin.result.way) == ("headscale", "")
