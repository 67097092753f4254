"""Ending in any order, broken off anywhere, as often as you like, comes to the same (05, P7 and test 60)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support_tunnel.core.errors import HostError, SupportTunnelError, WrongState
from support_tunnel.core.names import Names
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.desired import probes
from support_tunnel.flows.device.end_session import end_session
from support_tunnel.flows.library import Library
from support_tunnel.testing.faults import Fault, FaultWiring, hanging, raising
from tests.flows.turns import Job, Killed
from tests.flows.world import World

LOST = HostError("host.lost", "cut")
AWAY = HostError("api.unreachable", "away")


def job(world: World, work: Callable[[], object]) -> Job:
    started = world.turns.start(work)
    world.turns.run(started)
    return started


# --- P7: any prefix, any repetition ---------------------------------------------------------------------------------


@contextmanager
def connected(library: Library, *, opened: bool) -> Iterator[World]:
    """A session, or a request that nobody has answered; beside it a live session of the same device's past."""
    with tempfile.TemporaryDirectory(prefix="support-tunnel-flows-", dir="/dev/shm") as folder:
        world = World(Path(folder) / "world", library=library, policy=True)
        try:
            if opened:
                world.connect()
            else:
                world.turns.start(world.request)
                world.turns.run(until=lambda: world.code is not None)
            yield world
        finally:
            world.end()


def end_held(world: World, wiring: FaultWiring) -> None:
    ports = world.device_ports(wiring)
    with ports.vault.hold(world.tunnel):
        end_session(ports, world.tunnel)


ENDINGS: dict[str, Callable[[World, FaultWiring], object]] = {
    "stop": lambda world, wiring: world.stop_by_owner(wiring),
    "gc": lambda world, wiring: world.clean_up(wiring),
    "end": end_held,
    "cut": lambda world, wiring: world.device_ports(wiring).shell.run_script(
        probes.cut(Names(world.tunnel)), timeout=20
    ),
    "keeper dies": lambda world, wiring: world.device.keeper_dies(world.tunnel[:8]),
    "time": lambda world, wiring: world.clock.pause(30),
}
BROKEN_OFF = st.one_of(
    st.none(),
    st.builds(
        Fault,
        number=st.integers(1, 30),
        side=st.sampled_from(["before", "after"]),
        deed=st.sampled_from([raising(LOST), raising(KeyboardInterrupt())]),
    ),
    st.builds(
        Fault,
        number=st.integers(1, 30),
        side=st.sampled_from(["before", "after"]),
        deed=st.just(raising(Killed())),
        lasting=st.just(True),
    ),
)


@given(
    steps=st.lists(st.tuples(st.sampled_from(sorted(ENDINGS)), BROKEN_OFF), max_size=6),
    opened=st.booleans(),
    power_cut=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_teardown_broken_off_anywhere_and_repeated_leaves_the_same(
    library: Library, steps: list[tuple[str, Fault | None]], opened: bool, power_cut: bool
) -> None:
    with connected(library, opened=opened) as world:
        for name, fault in steps:
            job(world, partial(ENDINGS[name], world, FaultWiring(fault)))
        if power_cut:
            world.turns.end()
            world.device.power_cut()
            world.device_vault.erase(world.tunnel)
        for _ in range(2):
            cleaned = job(world, world.clean_up if power_cut else world.stop_by_owner)
            assert cleaned.error is None, cleaned.error
        assert world.left_on_device() == []
        assert world.device.holds.get(world.tunnel[:8], set()) == set()
        assert world.cloud.everything().count(world.foreign) == 1


# --- 60: the owner's stop --------------------------------------------------------------------------------------------


def cut_at(world: World, calls: list[str]) -> list[tuple[float, list[str]]]:
    """Note each cut: when it came, by the world's clock, and which calls the stop had made before it."""
    seen: list[tuple[float, list[str]]] = []
    run_script, cut = world.device.run_script, probes.cut(Names(world.tunnel)).reveal()

    def noting(script: Secret[str], *, timeout: float) -> Completed:
        if script.reveal() == cut and "interface" in world.device.holds[world.tunnel[:8]]:
            seen.append((world.clock.monotonic(), list(calls)))
        return run_script(script, timeout=timeout)

    world.device.run_script = noting  # type: ignore[method-assign]  # the model with a notebook
    return seen


def test_the_cut_comes_before_anything_that_could_make_the_owner_wait(
    make_world: Callable[..., World], library: Library
) -> None:
    """Whichever port hangs for a quarter of an hour, API and scripts among them: the cut was already made."""
    for stop in (World.stop_by_owner, end_held):
        counted = make_world(library=library, policy=True)
        counted.connect()
        wiring = FaultWiring()
        job(counted, partial(stop, counted, wiring))
        for number, call in enumerate(wiring.calls, start=1):
            world = make_world(library=library, policy=True)
            world.connect()
            hung = FaultWiring(Fault(number, "before", hanging(world.clock, 900)))
            seen, began = cut_at(world, hung.calls), world.clock.monotonic()
            job(world, partial(stop, world, hung))
            (when, before), *_ = seen
            assert {name.partition(".")[0] for name in before} <= {"vault", "shell"}, call
            assert when == began or hung.calls.index(call) < len(before), call
            assert world.left_on_device() == [], call


@pytest.mark.parametrize("error", [AWAY, WrongState("tunnel.closed", "closed"), LOST])
def test_the_owner_stops_without_an_api_and_twice(
    make_world: Callable[..., World], library: Library, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    world = make_world(library=library, policy=True)
    world.connect()
    for call in ("messages", "post", "close"):
        monkeypatch.setattr("support_tunnel.testing.fake_mailbox.FakeMailbox." + call, refuse)
    began = world.clock.monotonic()
    for _ in range(2):
        assert job(world, world.stop_by_owner).error is None
        assert world.left_on_device() == []
    assert world.clock.monotonic() == began


def test_the_owner_stops_at_any_moment_of_the_opening(make_world: Callable[..., World], library: Library) -> None:
    """Between any two port calls of the tool that opens; it takes five seconds over each."""
    counted = FaultWiring()
    undisturbed = make_world(library=library, policy=True)
    asking = undisturbed.turns.start(partial(undisturbed.request, counted))
    undisturbed.turns.start(undisturbed.answer)
    undisturbed.turns.run(asking)
    stopped = 0
    for number, call in enumerate(counted.calls, start=1):
        world = make_world(library=library, policy=True)
        wiring = FaultWiring(Fault(number, "before", hanging(world.clock, 5)))
        asking = world.turns.start(partial(world.request, wiring))
        world.turns.start(world.answer)
        world.turns.run(until=lambda wiring=wiring: wiring.struck)  # type: ignore[misc]  # bound to this round
        if world.code is None:
            continue  # nothing is shown yet, so there is nothing that the owner could stop
        stopping = world.turns.start(world.stop_by_owner)
        world.turns.run(asking, stopping)
        assert stopping.error is None, (call, stopping.error)
        assert isinstance(asking.error, SupportTunnelError), (call, asking.error)
        assert world.left_on_device() == [], call
        stopped += 1
    assert stopped > len(counted.calls) / 2
