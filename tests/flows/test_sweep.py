"""What a sweep may end, and what it must leave alone; an error never counts as "gone"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import pytest

from support_tunnel.core.errors import CloudError, SupportTunnelError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Joining, Server
from support_tunnel.core.secret import Secret
from tests.flows.turns import Job
from tests.flows.world import PATIENCE, TTL, World


class AwayCloud:
    """A cloud whose API fails in one way."""

    def __init__(self, world: World, *, fails: str) -> None:
        self._world, self._fails = world, fails
        self.destroyed: list[str] = []

    def servers(self) -> Sequence[Server]:
        if self._fails == "servers":
            raise CloudError("cloud.unavailable", "500, try again")
        return self._world.cloud.servers()

    def now(self) -> datetime | None:
        return self._world.cloud.now()

    def destroy(self, server_id: str) -> None:
        raise CloudError("cloud.unavailable", "500, try again")

    def destroy_all(self, server_ids: Sequence[str]) -> Mapping[str, SupportTunnelError]:
        raise CloudError("cloud.unavailable", "500, try again")

    def create(self, spec: object) -> Server:
        raise CloudError("cloud.quota", "no more servers")


def unfinished(world: World) -> Job:
    """A tool that was killed once its server was there."""
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(admin)
    return device


def test_nothing_to_do(world: World) -> None:
    swept = world.sweep()
    assert (swept.ended, swept.kept, swept.failed) == ([], [], [])
    assert world.left_on_admin() == []


def test_a_connected_tunnel_is_kept_until_it_is_over(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    swept = world.sweep()
    assert swept.ended == []
    assert len(swept.kept) == 1
    assert [server.tags["st-tunnel"] for server in world.cloud.servers()] == [world.tunnel]
    world.manual.advance(TTL)
    assert world.sweep().ended == [f"tunnel {world.tunnel[:8]}"]
    assert world.left_on_admin() == []


def test_an_unfinished_tunnel_is_ended_and_the_device_lets_go_at_once(world: World) -> None:
    world.owner_agrees()
    device = unfinished(world)
    before = world.clock.monotonic()
    assert world.sweep().ended == [f"tunnel {world.tunnel[:8]}"]
    assert world.clock.monotonic() == before, "a sweep waits for nobody"
    assert world.left_on_admin() == []
    world.turns.run(device)
    assert world.left() == []
    assert world.mailbox_closed()


def test_a_device_that_still_waits_for_the_answer_lets_go_at_once(world: World) -> None:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.server.on_script = lambda: world.turns.wait(lambda: False, 5)
    world.turns.run(until=lambda: bool(world.cloud.servers()) and not admin.ready())
    world.turns.kill(admin)
    world.sweep()
    before = world.clock.monotonic()
    world.turns.run(device)
    assert world.clock.monotonic() == before
    assert isinstance(device.error, WrongState)
    assert device.error.code == "tunnel.closed"
    assert world.left() == []


def test_a_tunnel_that_a_tool_works_on_is_kept(world: World) -> None:
    world.turns.start(world.request)
    world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.digits))
    swept = world.sweep()
    assert swept.ended == []
    assert "a tool is working on it" in swept.kept[0]
    assert len(world.cloud.servers()) == 1


def test_a_tunnel_that_connects_while_a_sweep_looks_is_kept(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(policy=True)
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: any(entry.stage == "answered" for entry in world.ledger.entries()))
    seen = list(world.ledger.entries())
    world.turns.run(device, admin)
    ports = world.admin_ports()
    monkeypatch.setattr(ports.ledger, "entries", lambda: seen)
    monkeypatch.setattr(world, "admin_ports", lambda _: ports)
    swept = world.sweep()
    assert swept.ended == []
    assert len(swept.kept) == 1
    assert len(world.cloud.servers()) == 1


def test_a_server_past_its_own_time_goes_also_without_a_ledger(world: World) -> None:
    lost = world.expired()
    assert world.sweep(dry_run=True).ended == [f"server {lost.name} (fake)"]
    assert world.cloud.servers() == [lost]
    assert world.sweep().ended == [f"server {lost.name} (fake)"]
    assert world.left_on_admin() == []


def test_a_server_of_a_colleague_that_is_still_in_time_stays(world: World) -> None:
    theirs = world.expired()
    world.manual._start -= timedelta(minutes=1)
    assert world.sweep().ended == []
    assert world.cloud.servers() == [theirs]


def test_keys_that_no_ledger_knows_go(world: World) -> None:
    unfinished(world)
    world.ledger.remove(world.tunnel)
    with world.admin_vault.hold(world.tunnel):
        assert world.sweep().ended == []
    assert world.sweep().ended == [f"tunnel {world.tunnel[:8]}"]
    assert world.admin_vault.tunnels() == []


def test_an_own_node_of_a_tunnel_that_nobody_has_ends(world: World) -> None:
    lost = TunnelId("ef" * 16)
    world.own_node.join(lost, Joining("https://192.0.2.1", "", Secret("key"), 60))
    assert world.sweep(dry_run=True).ended == ["tunnel efefefef"]
    assert world.own_node.tunnels() == [lost]
    assert world.sweep().ended == ["tunnel efefefef"]
    assert world.own_node.tunnels() == []
    assert world.sweep().ended == []


def test_an_own_node_of_a_connected_tunnel_stays_until_that_ends(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    world.own_node.join(world.tunnel, Joining("https://192.0.2.1", "", Secret("key"), 60))
    assert world.sweep().ended == []
    assert world.own_node.tunnels() == [world.tunnel]
    world.stop_by_admin()
    assert world.own_node.tunnels() == []


def test_a_dry_run_changes_nothing(world: World) -> None:
    unfinished(world)
    world.expired()
    before = world.left()
    swept = world.sweep(dry_run=True)
    assert len(swept.ended) == 2
    assert world.left() == before
    assert not world.mailbox_closed()


@pytest.mark.parametrize("fails", ["servers", "destroy"])
def test_a_cloud_that_fails_loses_nothing_and_the_failure_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    unfinished(world)
    lost = world.expired()
    ports = world.admin_ports(clouds={"fake": AwayCloud(world, fails=fails)})
    with monkeypatch.context() as patch:
        patch.setattr(world, "admin_ports", lambda _: ports)
        swept = world.sweep()
    assert swept.ended == []
    assert f"tunnel {world.tunnel[:8]}" in {label for label, _ in swept.failed}
    assert len(swept.failed) == 2
    assert [entry.stage for entry in world.ledger.entries()] == ["stopping"]
    assert lost in world.cloud.servers()
    assert len(world.cloud.servers()) == 2
    assert len(world.sweep().ended) == 2
    assert world.left_on_admin() == []


def test_a_cloud_that_the_inventory_forgot_is_a_failure_not_an_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished(world)
    ports = world.admin_ports(clouds={})
    with monkeypatch.context() as patch:
        patch.setattr(world, "admin_ports", lambda _: ports)
        assert "no longer names" in world.sweep().failed[0][1]
    assert len(world.ledger.entries()) == 1


def test_an_api_that_is_away_does_not_keep_a_server_alive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished(world)
    monkeypatch.setattr(world.office, "boxes", {})
    assert len(world.sweep().ended) == 1
    assert world.left_on_admin() == []


def test_a_request_whose_admin_never_answered_goes_on(world: World) -> None:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: world.code is not None)
    world.turns.kill(admin)
    world.sweep()
    assert world.left_on_admin() == []
    world.turns.run(device)
    assert world.clock.monotonic() >= PATIENCE
    assert world.left() == []
