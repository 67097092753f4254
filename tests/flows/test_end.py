"""The end of a session does as much as it can at once: a step that fails keeps no other one from running (05, test 60)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support_tunnel.core.errors import ConsentRefused, HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.flows.device.clean_up import known_tunnels
from support_tunnel.flows.device.end_session import end_session, note_reason, stop_all, stop_session
from support_tunnel.flows.device.note_logins import note_logins
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record
from support_tunnel.testing.faults import Fault, FaultWiring, raising
from tests.flows.turns import Job
from tests.flows.world import World

LOST = HostError("host.lost", "cut")
STALE = TunnelId("ab" * 16)


def end(world: World, wiring: FaultWiring) -> Job:
    def work() -> None:
        with world.device_vault.hold(world.tunnel):
            end_session(world.device_ports(wiring), world.tunnel)

    job = world.turns.start(work)
    world.turns.run(job)
    return job


def test_one_step_that_fails_keeps_no_other_from_running(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = make_world(policy=True)
    counted.connect()
    wiring = FaultWiring()
    looks = list[int]()

    def noting(ports: DevicePorts, tunnel: TunnelId, record: Record) -> None:
        first = len(wiring.calls)
        note_logins(ports, tunnel, record)
        looks.extend(first + n for n, call in enumerate(wiring.calls[first:], start=1) if call == "shell.run_script")

    with monkeypatch.context() as watched:
        watched.setattr("support_tunnel.flows.device.end_session.note_logins", noting)
        assert end(counted, wiring).error is None
    assert len(looks) == 1
    for number, call in enumerate(wiring.calls, start=1):
        world = make_world(policy=True)
        world.connect()
        job = end(world, FaultWiring(Fault(number, "before", raising(LOST))))
        # An API that is away, a script, or a device that cannot tell who logged in changes nothing there.
        quiet = call.startswith(("mailbox.", "hooks.")) or number in looks
        assert job.error is (None if quiet else LOST), call
        assert world.device.traces() == [], call
        assert world.device_vault.tunnels() == ([world.tunnel] if call == "vault.erase" else []), call
        assert ("ended" in world.events()) or not quiet, call


def test_what_cannot_be_removed_is_named(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    world.device.sticks = {"account", "table"}
    error = end(world, FaultWiring()).error
    assert isinstance(error, HostError)
    assert error.code == "stop.leftovers"
    assert "account, table" in error.message
    world.device.sticks = set()
    world.clean_up()
    assert world.left_on_device() == []


def test_a_power_cut_leaves_an_account_that_clean_up_removes(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    world.turns.end()
    world.device.power_cut()
    world.device_vault.erase(world.tunnel)
    assert world.device.traces() == [world.tunnel[:8]]
    assert len(world.clean_up()) == 1
    assert world.left_on_device() == []


def test_one_that_does_not_end_keeps_no_other_from_being_cleaned_up(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    world.device.holds = {short * 8: {"account"} for short in ("a", "b", "c")}
    real = end_session

    def fails(ports: object, tunnel: TunnelId) -> None:
        if tunnel.startswith("b"):
            raise LOST
        real(ports, tunnel)  # type: ignore[arg-type]  # DevicePorts

    monkeypatch.setattr("support_tunnel.flows.device.clean_up.end_session", fails)
    with pytest.raises(HostError, match="cut"):
        world.clean_up()
    assert world.device.traces() == ["b" * 8]


def test_one_that_cannot_be_stopped_keeps_no_other_session_open(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(policy=True)
    world.connect()
    world.device.holds["00000000"] = {"account"}  # an orphan whose id sorts first
    ports = world.device_ports()
    stuck, *_ = known = known_tunnels(ports)
    assert known == [stuck, world.tunnel]
    real = stop_session

    def fails(ports: DevicePorts, tunnel: TunnelId, reason: str) -> None:
        if tunnel == stuck:
            raise LOST
        real(ports, tunnel, reason)

    monkeypatch.setattr("support_tunnel.flows.device.end_session.stop_session", fails)
    job = world.turns.start(lambda: stop_all(ports, known, "the owner ended it"))
    world.turns.run(job)
    assert job.error is LOST
    assert world.device.traces() == [stuck[:8]]


def test_a_request_that_was_stopped_does_not_open_by_a_later_yes(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    asking = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    note_reason(world.device_ports(), world.tunnel, "the owner ended it")
    world.turns.start(world.answer)
    world.turns.run(asking)
    assert isinstance(asking.error, ConsentRefused)
    assert asking.error.code == "consent.stopped"
    assert world.left_on_device() == []


def test_a_session_whose_keeper_is_gone_is_reported_to_nobody(make_world: Callable[..., World]) -> None:
    """The tool holds the tunnel while it opens, so the ending of a keeper that dies then leaves everything to it."""
    world = make_world(policy=True)
    asking = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    started = world.device.on_keeper_start

    def dies_at_once(tunnel: TunnelId) -> None:
        started(tunnel)
        world.device.keeper_dies(tunnel[:8])

    world.device.on_keeper_start = dies_at_once
    world.turns.start(world.answer)
    world.turns.run(asking)
    assert isinstance(asking.error, HostError)
    assert asking.error.code == "session.lost"
    assert world.left_on_device() == []


def test_a_live_session_and_a_tool_at_work_are_left_alone(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    assert world.clean_up() == []
    assert world.device.holds[world.tunnel[:8]] > {"keeper"}
    asking = make_world()
    asking.turns.start(asking.request)
    asking.turns.run(until=lambda: asking.code is not None)
    assert asking.clean_up() == []
    assert asking.device_vault.tunnels() == [asking.tunnel]


@pytest.mark.parametrize("side", ["admin", "device"])
def test_the_lock_of_a_tool_that_was_killed_at_once_goes(world: World, side: str) -> None:
    """It holds the tunnel and has written nothing yet: the lock is all there is of it."""
    vault = world.admin_vault if side == "admin" else world.device_vault
    folder = Path(vault.path(STALE, "x")).parent.parent
    folder.mkdir(mode=0o700)
    (folder / f"{STALE}.lock").touch(mode=0o600)
    if side == "device":
        with pytest.raises(ConsentRefused):  # it takes no place: the request goes on, and nobody comes
            world.request()
    else:
        assert world.sweep().ended == [f"tunnel {STALE[:8]}"]
    assert not folder.exists()
