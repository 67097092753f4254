"""`kill -9` of either tool on the way by Headscale, when most of what that way alone makes is there: people clean up, nothing is left.

Every call of it fails, hangs and dies on models (tests/flows/test_faults.py); every call of the way by WireGuard on real hosts
(tests/onebox/test_killed.py). Here are real users, keys, nodes and a policy of a real Headscale, and a real node of the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.onebox.crew import Crew
from tests.onebox.killing import Kill, Killing
from tests.onebox.played_by_headscale import HEADSCALE

pytestmark = pytest.mark.onebox


@pytest.fixture(scope="module")
def stage(headscale_tools: None, trusting: Crew) -> Iterator[Killing]:
    with Killing(trusting, trusting.tree(), HEADSCALE) as made:
        yield made


def killed_after(
    kill_it: Callable[[Kill], list[str]], last_of: Callable[[list[str]], int]
) -> tuple[list[str], list[str]]:
    """The calls up to the one after which it is to die, by an undisturbed run, and those that were made."""
    calls = kill_it(Kill())
    number = last_of(calls)
    return calls[:number], kill_it(Kill(number, "after"))


@pytest.mark.timeout(900)
def test_an_admin_who_dies_with_the_keys_of_both_nodes_out(stage: Killing) -> None:
    def both_keys(calls: list[str]) -> int:
        return len(calls) - calls[::-1].index("coordinator.create_join_key")

    wanted, seen = killed_after(stage.of_admin, both_keys)
    assert seen == wanted
    assert stage.problems == []


@pytest.mark.timeout(900)
def test_a_device_that_dies_with_its_node_in_the_network(stage: Killing) -> None:
    def roles(calls: list[str]) -> int:
        """The first script after the owner's own: it joins and opens the session's door."""
        return calls.index("shell.run_script", calls.index("hooks.run")) + 1

    wanted, seen = killed_after(stage.of_device, roles)
    assert seen == wanted
    assert stage.problems == []
