"""A tool that was killed after it had answered goes on; anything else has nothing to go on with.

Killed at each port call, before and after its effect: where the ledger says `answered`, a resume connects, and what is left
by the two people afterwards is nothing. The resume itself is failed at each of its own calls too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest

from support_tunnel.core.errors import HostError, SupportTunnelError, WrongState
from support_tunnel.flows.admin.record import STATE
from support_tunnel.flows.admin.resume import resume
from support_tunnel.flows.library import Library
from support_tunnel.testing.faults import Fault, FaultWiring, Side, raising
from tests.flows.test_faults import KINDS, deed, everybody_cleans_up, faults, job
from tests.flows.turns import Job, Killed
from tests.flows.world import World

WorldMaker = Callable[..., World]


def start(world: World, fault: Fault | None = None) -> tuple[Job, Job, FaultWiring]:
    """Both tools; the admin's with a fault."""
    world.owner_says(lambda _: world.digits, "yes")
    wiring = FaultWiring(fault)
    return world.turns.start(world.request), world.turns.start(lambda: world.answer(wiring)), wiring


def killed_at(number: int, side: Side) -> Fault:
    return Fault(number, side, raising(Killed()), lasting=True)


def resumed(world: World, wiring: FaultWiring | None = None, **changes: Any) -> Job:
    ports = world.admin_ports(wiring, **changes)
    return world.turns.start(lambda: resume(ports, world.tunnel, read_aloud=world._read_aloud))


def stage(world: World) -> str | None:
    entry = world.ledger.read(world.tunnel)
    return entry.stage if entry else None


def answered_and_killed(world: World) -> Job:
    """Killed while the owner thinks. Returns the device's tool."""
    device, admin, _ = start(world)
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(admin)
    assert stage(world) == "answered"
    return device


def counted(make_world: WorldMaker, library: Library) -> list[str]:
    world = make_world(library=library)
    device, admin, wiring = start(world)
    world.turns.run(device, admin)
    assert admin.error is None
    world.end()
    return wiring.calls


@pytest.mark.parametrize("side", get_args(Side))
def test_killed_anywhere_once_answered_it_goes_on(make_world: WorldMaker, library: Library, side: Side) -> None:
    gone_on, refused = set(), set()
    for number, call in enumerate(counted(make_world, library), start=1):
        world = make_world(library=library)
        device, admin, _ = start(world, killed_at(number, side))
        world.turns.run(admin)
        again = resumed(world)
        before = stage(world)
        world.turns.run(again)
        if before == "answered":
            assert again.error is None, (number, call, again.error)
            assert stage(world) == "connected"
            assert world.door.hops[world.tunnel].device_user == again.result.user == f"st{world.tunnel[:8]}"
            world.turns.run(device)
            assert device.error is None
            gone_on.add(call)
        else:
            assert isinstance(again.error, WrongState), (number, call, again.error)
            assert again.error.code == ("tunnel.connected" if before == "connected" else "resume.nothing")
            refused.add(call)
        everybody_cleans_up(world)
        assert world.left() == [], (number, call)
        world.end()
    assert gone_on >= {"mailbox.post", "mailbox.messages", "door.prepare", "server.run_script", "ledger.write"}
    assert refused >= {"cloud.create", "connector.connect", "vault.put"}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stays_wherever_the_resume_fails(make_world: WorldMaker, library: Library, kind: str) -> None:
    world, wiring = make_world(library=library), FaultWiring()
    answered_and_killed(world)
    world.turns.run(resumed(world, wiring))
    world.end()
    left = []
    for number, side, error in faults(kind, wiring.calls):
        world = make_world(library=library)
        answered_and_killed(world)
        struck = FaultWiring(Fault(number, side, deed(world, kind, error), lasting=kind == "killed"))
        world.turns.run(resumed(world, struck))
        where = f"{side} call {number}, {wiring.calls[number - 1]}, {error!r}"
        assert struck.struck, f"nobody failed {where}"
        everybody_cleans_up(world)
        left += [f"{where}: {thing}" for thing in world.left()]
        world.end()
    assert left == []


def test_the_same_answer_is_posted_again(make_world: WorldMaker, library: Library) -> None:
    world = make_world(library=library)
    answered_and_killed(world)
    box = world.office.boxes[world.tunnel]
    before = [blob.data for blob in box.blobs if blob.slot == "answer"]
    world.turns.run(resumed(world))
    assert [blob.data for blob in box.blobs if blob.slot == "answer"] == before


def test_what_passes_by_itself_leaves_it_as_it_was(make_world: WorldMaker, library: Library) -> None:
    world = make_world(library=library)
    answered_and_killed(world)
    away = FaultWiring(Fault(1, "before", raising(HostError("api.unreachable", "away")), lasting=True))
    ports = replace(world.admin_ports(), mailbox_for=world.admin_ports(away).mailbox_for)
    failed = job(world, lambda: resume(ports, world.tunnel, read_aloud=world._read_aloud))
    assert isinstance(failed.error, HostError)
    assert stage(world) == "answered"
    again = resumed(world)
    world.turns.run(again)
    assert again.error is None


def test_an_owner_who_gave_up_ends_it(make_world: WorldMaker, library: Library) -> None:
    world = make_world(library=library)
    device = answered_and_killed(world)
    world.turns.kill(device)
    world.clean_up()
    again = resumed(world)
    world.turns.run(again)
    assert isinstance(again.error, WrongState)
    assert again.error.code == "tunnel.closed"
    assert world.left_on_admin() == []


@pytest.mark.parametrize(
    ("case", "code"),
    [("refused", "consent.declined"), ("unopened", "device.stopped"), ("silent", "device.silent")],
)
def test_what_the_device_says_after_a_resume_ends_it(
    make_world: WorldMaker, library: Library, case: str, code: str
) -> None:
    world = make_world(library=library)
    device, admin, _ = start(world)
    world.owner_says(lambda _: world.digits, "no" if case == "refused" else "yes")
    world.device.breaks_off = case == "unopened"
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(admin)
    if case == "silent":
        world.turns.kill(device)
    again = resumed(world)
    world.turns.run(again)
    assert isinstance(again.error, SupportTunnelError)
    assert again.error.code == code
    assert world.left_on_admin() == []


def test_a_session_that_is_over_is_not_called_connected(make_world: WorldMaker, library: Library) -> None:
    world = make_world(library=library)
    device = answered_and_killed(world)
    world.turns.run(device)
    world.stop_by_owner()
    again = resumed(world)
    world.turns.run(again)
    assert isinstance(again.error, WrongState)
    assert world.left_on_admin() == []


@pytest.mark.parametrize("lost", ["keys", "ledger", "time"])
def test_with_nothing_to_go_on_with_it_says_so(make_world: WorldMaker, library: Library, lost: str) -> None:
    world = make_world(library=library)
    answered_and_killed(world)
    if lost == "keys":
        assert world.admin_vault.get(world.tunnel, STATE)
        world.admin_vault.erase(world.tunnel)
    elif lost == "ledger":
        world.ledger.remove(world.tunnel)
    else:
        world.manual.advance(24 * 3600)
    again = resumed(world)
    world.turns.run(again)
    assert isinstance(again.error, WrongState)
    assert again.error.code == ("tunnel.over" if lost == "time" else "resume.nothing")


def test_while_the_first_tool_lives_there_is_nothing_to_resume(make_world: WorldMaker, library: Library) -> None:
    world = make_world(library=library)
    start(world)
    world.turns.run(until=lambda: bool(world.digits))
    again = resumed(world)
    world.turns.run(again)
    assert isinstance(again.error, WrongState)
    assert again.error.code == "tunnel.busy"
