"""The owner's scripts around a session: when each runs, that one on the way up can refuse, and none can keep it open."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError
from support_tunnel.core.hooks import MOMENTS, Moment
from support_tunnel.core.ports import HookRun
from support_tunnel.testing.faults import Fault, FaultWiring, raising
from tests.flows.hosts import OPENED
from tests.flows.turns import Job, Killed
from tests.flows.world import World

FINE = HookRun(0, "done")
PROBLEMS: list[HookRun | SupportTunnelError] = [
    HookRun(3, "no"),
    HostError("hook.timeout", "it did not end"),
    UsageError("hook.mode", "others can change it"),
]


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    made = make_world(policy=True)
    made.hooks.says = dict.fromkeys(MOMENTS, FINE)
    return made


def moments(world: World) -> list[Moment]:
    return [moment for moment, _ in world.hooks.ran]


def logged(world: World) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in world.journal.lines[world.tunnel]]
    return [data for event, data in lines if event == "hook"]


def both(world: World) -> Job:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    return device


def test_each_runs_once_in_order_and_is_logged_with_its_status_and_words(world: World) -> None:
    world.connect()
    assert moments(world) == ["pre-up", "post-up"]
    world.stop_by_owner()
    world.stop_by_owner()
    world.clean_up()
    assert moments(world) == list(MOMENTS)
    assert logged(world) == [{"hook": moment, "status": 0, "output": "done"} for moment in MOMENTS]
    assert world.events()[-1] == "ended"
    assert world.left_on_device() == []


def test_the_keepers_ending_runs_them_too(world: World) -> None:
    world.connect()
    world.turns.start(world.stop_by_admin)
    world.turns.run()
    assert moments(world) == list(MOMENTS)


def test_each_sees_the_device_at_its_moment(world: World) -> None:
    seen: dict[Moment, set[str]] = {}
    real = world.hooks.run

    def looks(moment: Moment, context: object) -> HookRun | None:
        seen[moment] = set(world.device.holds.get(world.tunnel[:8], set())) & OPENED
        return real(moment, context)  # type: ignore[arg-type]  # passed through

    world.hooks.run = looks  # type: ignore[method-assign]  # watched, not changed
    world.connect()
    world.stop_by_owner()
    assert seen["pre-up"] == seen["post-down"] == set()
    assert seen["post-up"] == OPENED
    assert {"account", "folder"} <= seen["pre-down"]
    assert not {"interface", "session unit", "table"} & seen["pre-down"], "the cut waits for no script"


def test_it_is_told_what_follows_from_the_id(world: World) -> None:
    world.connect()
    (_, context), *_ = world.hooks.ran
    assert world.code is not None
    assert context.network == str(world.code.network)
    assert (context.tunnel, context.user) == (world.tunnel, f"st{world.tunnel[:8]}")
    assert context.interface == f"st-{world.tunnel[:8]}"
    assert context.address == str(world.code.network[2])


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("moment", ["pre-up", "post-up"])
def test_one_that_fails_on_the_way_up_refuses_the_session(
    world: World, moment: Moment, problem: HookRun | SupportTunnelError
) -> None:
    world.hooks.says[moment] = problem
    opened: list[str] = []
    world.device.on_keeper_start = opened.append
    device = both(world)
    assert isinstance(device.error, SupportTunnelError)
    assert device.error.code == ("hook.failed" if isinstance(problem, HookRun) else problem.code)
    assert bool(opened) is (moment == "post-up")
    assert world.left_on_device() == []
    assert world.mailbox_closed()
    assert "opened" not in world.events()
    assert moments(world) == [*MOMENTS[: MOMENTS.index(moment) + 1], "pre-down", "post-down"]


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_one_that_fails_on_the_way_down_keeps_nothing_open(world: World, problem: HookRun | SupportTunnelError) -> None:
    world.connect()
    world.hooks.says |= {"pre-down": problem, "post-down": problem}
    world.stop_by_owner()
    assert world.left_on_device() == []
    assert moments(world) == list(MOMENTS)
    assert len(logged(world)) == 4
    assert ("problem" in logged(world)[-1]) is not isinstance(problem, HookRun)


def test_a_request_that_opened_nothing_runs_none(world: World) -> None:
    job = world.turns.start(world.request)
    world.turns.run(job)
    assert job.error is not None
    assert moments(world) == []


def orphaned(make_world: Callable[..., World]) -> World:
    """Connected, and the keeper's process is gone without its ending."""
    world = make_world(policy=True)
    world.hooks.says = dict.fromkeys(MOMENTS, FINE)
    world.connect()
    world.device.on_keeper_end = lambda short: None
    world.device.keeper_dies(world.tunnel[:8])
    return world


def test_after_a_kill_only_those_run_that_had_not(make_world: Callable[..., World]) -> None:
    counted, wiring = orphaned(make_world), FaultWiring()
    counted.clean_up(wiring)
    noted = (
        wiring.calls.index("vault.put", wiring.calls.index("hooks.run")) + 2
    )  # the log's state, then that it has run
    assert wiring.calls[noted - 2 : noted].count("vault.put") >= 1
    world = orphaned(make_world)
    fault = Fault(noted, "after", raising(Killed()), lasting=True)
    killed = world.turns.start(lambda: world.clean_up(FaultWiring(fault)))
    world.turns.run(killed)
    assert isinstance(killed.error, Killed)
    assert moments(world) == ["pre-up", "post-up", "pre-down"]
    world.clean_up()
    assert moments(world) == list(MOMENTS)
    assert world.left_on_device() == []
