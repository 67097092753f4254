"""`kill -9` of either tool between any two port calls, with real hosts: people clean up, and nothing is left anywhere.
Broken off in each other way (a call that fails, one that hangs until Ctrl-C, a signal), the tool cleans up itself.

The calls are those of an undisturbed run of the same tools, so none can be forgotten. Between two of them a tool only computes:
"before a call" is every moment since the one before it, and the last kill of a tool comes after its last call.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.snapshot import changes
from support_tunnel.cli.admin.rehearsal.run import NOT_A_CHANGE
from support_tunnel.core.errors import HostError
from support_tunnel.core.waiting import wait_for
from tests.onebox.crew import PATIENCE, Crew, crew
from tests.onebox.killing import Kill, Killing

pytestmark = pytest.mark.onebox


@pytest.fixture(scope="module")
def stages() -> Iterator[list[Killing]]:
    """Two, so that one tool is killed on each at the same time."""
    with ExitStack() as stack:
        people = [stack.enter_context(crew(consent=True)) for _ in range(2)]
        yield [stack.enter_context(Killing(each, each.tree())) for each in people]


def at_every_call(kill_it: Callable[[Kill], list[str]]) -> list[str]:
    """Kill it everywhere; return the calls at which nobody was killed, or another one than in the undisturbed run."""
    calls = kill_it(Kill())
    kills = [Kill(number) for number in range(1, len(calls) + 1)] + [Kill(len(calls), "after")]
    died_at = [(kill.number, kill_it(kill)) for kill in kills]
    return [f"call {number}, {calls[number - 1]}: {seen[-1:]}" for number, seen in died_at if seen != calls[:number]]


ADMIN = {
    ("cloud.create", "after"): "hang",
    ("connector.connect", "before"): "terminate",
    ("server.run_script", "after"): "fail",
    ("mailbox.post", "after"): "interrupt",
    ("vault.put", "after"): "hangup",
}
"""Each other way once, along the way of the answer: server made, booting, host key rotated, answer posted."""
DEVICE = {
    ("mailbox.open", "after"): "terminate",
    ("shell.run_script", "before"): "fail",
    ("mailbox.post", "after"): "hang",
    ("vault.put", "after"): "interrupt",
    ("journal.append", "after"): "hangup",
}


def in_each_other_way(kill_it: Callable[[Kill], list[str]], ways: dict[tuple[str, str], str]) -> list[str]:
    """Return the ways that struck no such call."""
    missed = []
    calls = kill_it(Kill())
    for (call, side), deed in ways.items():
        if call not in calls or kill_it(Kill(calls.index(call) + 1, side, deed))[: calls.index(call) + 1][-1:] != [
            call
        ]:
            missed.append(f"{deed} {side} {call}")
    return missed


def test_nothing_is_left_by_a_tool_that_is_broken_off_in_any_other_way(stages: list[Killing]) -> None:
    admin, device = stages
    with ThreadPoolExecutor(2) as lanes:
        missed = list(lanes.map(in_each_other_way, (admin.of_admin, device.of_device), (ADMIN, DEVICE)))
    assert missed == [[], []]
    assert admin.problems == []
    assert device.problems == []


@pytest.mark.timeout(1800)
def test_nothing_is_left_wherever_either_tool_is_killed(stages: list[Killing]) -> None:
    admin, device = stages
    with ThreadPoolExecutor(2) as lanes:
        missed = list(lanes.map(at_every_call, (admin.of_admin, device.of_device)))
    assert missed == [[], []]
    assert admin.problems == []
    assert device.problems == []


# --- the session itself is what dies --------------------------------------------------------------------------------


@pytest.fixture
def session(stages: list[Killing]) -> Iterator[tuple[Crew, str]]:
    """A connected one; afterwards the admin stops, whatever became of it on the device."""
    people = stages[0].people
    live = people.connect("--ttl", "5")
    yield people, live.tunnel
    assert people.fab("stop", live.tunnel[:8]).status == 0
    assert people.left(live.tunnel) == []


def touched(stage: Killing) -> list[str]:
    return changes(stage.before, stage.people.tree(), ignoring=NOT_A_CHANGE)


def ends_by_itself(people: Crew, tunnel: str) -> None:
    wait_for(
        lambda: True if people.inv("status", "--json").stdout.strip() == "[]" else None,
        what="the end of the session",
        seconds=PATIENCE,
        clock=SystemClock(),
    )
    log = people.device(shlex.join(["cat", f"/var/log/support_tunnel/{tunnel[:8]}.jsonl"]))
    assert json.loads(log.splitlines()[-1])["event"] == "ended"


def test_a_keeper_that_is_killed_ends_the_session(session: tuple[Crew, str], stages: list[Killing]) -> None:
    people, tunnel = session
    people.device(shlex.join(["systemctl", "kill", "--signal=KILL", f"st-{tunnel[:8]}-keeper.service"]))
    ends_by_itself(people, tunnel)
    assert touched(stages[0]) == []


def test_systemctl_alone_ends_the_session(session: tuple[Crew, str], stages: list[Killing]) -> None:
    people, tunnel = session
    people.device("systemctl stop 'st-*'")
    ends_by_itself(people, tunnel)
    assert touched(stages[0]) == []


def test_a_power_cut_ends_the_session(session: tuple[Crew, str], stages: list[Killing]) -> None:
    people, tunnel = session
    driver = LocalNodeDriver(people.on.cloud_root)
    node = next(node for node in driver.list_nodes() if node.id == people.on.device.id)
    driver.reboot_node(node)

    def booted() -> bool | None:
        try:
            return True if people.device("systemctl is-system-running").strip() in {"running", "degraded"} else None
        except HostError:
            return None

    wait_for(booted, what="the device's boot", seconds=PATIENCE, clock=SystemClock())
    # Not the nft table: a node keeps its network namespace over a power cut, unlike a device its kernel; gc removes it.
    assert tunnel[:8] not in people.device("ip link; systemctl list-units --all; find /run/support_tunnel; ps ax")
    assert people.inv("gc").status == 0
    assert json.loads(people.inv("status", "--json").stdout) == []
    # The undo journal went with the power: the account goes by name, and userdel leaves its own backups (passwd-, ...).
    accounts = {f"etc/{name}" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")}
    assert accounts.isdisjoint(line.split()[1] for line in touched(stages[0]))
