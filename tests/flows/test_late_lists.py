"""A cloud whose list is behind what the cloud made, and places that cannot be read: nothing is forgotten because of either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LedgerEntry, Server, ServerSpec
from tests.flows.world import World


@pytest.fixture
def late(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """From now on a server has no address in the answer of create, and is in no list for so many seconds."""
    create, servers = world.cloud.create, world.cloud.servers

    def late(seconds: float) -> None:
        made: dict[str, float] = {}

        def created(spec: ServerSpec) -> Server:
            server = create(spec)
            made[server.id] = world.clock.monotonic()
            return replace(server, address="")

        def listed() -> Sequence[Server]:
            now = world.clock.monotonic()
            return [one for one in servers() if now >= made.get(one.id, -1e9) + seconds]

        monkeypatch.setattr(world.cloud, "create", created)
        monkeypatch.setattr(world.cloud, "servers", listed)

    return late


def test_a_server_that_is_listed_late_is_waited_for(world: World, late: Callable[[float], None]) -> None:
    late(40)
    world.connect()


def test_one_that_is_listed_after_it_was_given_up_is_ended(
    world: World, late: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    late(200)
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: admin.ended)
    world.turns.kill(device)
    assert isinstance(admin.error, HostError)
    assert admin.error.code == "wait.timeout"
    assert world.cloud.everything() == [world.foreign]
    assert world.ledger.entries() == []


@pytest.mark.parametrize("empty", [1, 2])
def test_a_list_that_is_empty_by_mistake_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch, empty: int
) -> None:
    """Else the server would run until its own end, and nobody would know of it."""
    world.connect()
    true, left = world.cloud.servers, [empty]

    def listed() -> Sequence[Server]:
        left[0] -= 1
        return [] if left[0] >= 0 else true()

    monkeypatch.setattr(world.cloud, "servers", listed)
    world.stop_by_admin()
    assert world.cloud.everything() == [world.foreign]
    assert world.ledger.entries() == []


def test_a_server_that_has_ended_itself_is_believed_gone_in_a_moment(world: World) -> None:
    world.connect()
    (server,) = world.cloud.servers()
    world.cloud.destroy(server.id)
    began = world.clock.monotonic()
    world.stop_by_admin()
    assert world.clock.monotonic() - began < 15
    assert world.ledger.entries() == []


@pytest.mark.parametrize("place", ["ledger", "vault"])
def test_a_place_that_cannot_be_read_keeps_no_cloud_from_being_swept(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    lost = world.expired()
    if place == "ledger":
        now = world.clock.now()
        world.ledger.write(LedgerEntry(TunnelId("ab" * 16), "fake", "connected", now, now + timedelta(hours=1)))
        (world.folder / "ledger" / f"{'ab' * 16}.json").write_text("broken")
    else:

        def unreadable() -> Sequence[TunnelId]:
            raise SupportTunnelError("file.mode", "others may read it")

        monkeypatch.setattr(world.admin_vault, "tunnels", unreadable)
    swept = world.sweep()
    assert [label for label, _ in swept.failed] == [place]
    assert swept.ended == [f"server {lost.name} (fake)"]
    assert world.cloud.everything() == [world.foreign]
