"""Tools that change the policy of one Headscale server at the same moment, in any interleaving, some of them killed: nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support_tunnel.core.errors import CoordinatorError, WrongState
from support_tunnel.core.ports import Coordinator, Node
from support_tunnel.core.tailnet import Passage, read_policy, write_policy
from support_tunnel.flows.tailnet import LEASE, LOCK, close_passage, open_passage
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.fake_headscale import FakeCoordinator, FakeHeadscale
from tests.flows.turns import Killed, TurnClock, Turns

PASSAGES = [Passage(f"st-{n}", f"{n:08x}", ("hana", f"helper-{n}"), (47022, 8000 + n)) for n in range(5)]

PATIENCE = 10.0
"""Seconds that the client waits for an answer."""


class Slow:
    """A client whose every call takes the time that a test says, and is done at the end of it; others act meanwhile."""

    def __init__(self, turns: Turns, inner: Coordinator, seconds: Callable[[], float]) -> None:
        self._turns, self._inner, self._seconds = turns, inner, seconds

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            self._turns.wait(lambda: False, self._seconds())
            return getattr(self._inner, name)(*args)

        return call


def stored(server: FakeHeadscale) -> set[Passage]:
    return set(read_policy(server.policy.text)) if server.policy else set()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_tools_at_the_same_moment_lose_nothing(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - how long calls take
    turns = Turns(ManualClock())
    server = FakeHeadscale(turns.clock)
    clock = TurnClock(turns)
    closed = PASSAGES[0]
    server.face().set_policy(write_policy([closed]))

    def tool(work: Callable[[Coordinator], None]) -> Any:
        return turns.start(lambda: work(Slow(turns, server.face(), lambda: random.uniform(0, PATIENCE))))

    jobs = [tool(partial(open_passage, clock=clock, passage=passage)) for passage in PASSAGES[1:4]]
    jobs.append(tool(lambda c: close_passage(c, clock, closed.device)))
    turns.run()
    # Each is in or says that it is not: more than three minutes of others is a thing that can happen.
    errors = [job.error for job in jobs]
    assert all(
        error is None or (isinstance(error, CoordinatorError) and error.code == "tailnet.busy") for error in errors
    )
    done = {p for p, error in zip(PASSAGES[1:4], errors, strict=False) if error is None}
    assert stored(server) == done | ({closed} if errors[3] else set())
    assert errors.count(None) >= 2
    assert server.users == {}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 20))
def test_a_tool_that_is_killed_stops_the_others_for_no_longer_than_its_lease(seed: int, moment: float) -> None:
    random = Random(seed)  # noqa: S311 - how long calls take
    turns = Turns(ManualClock())
    server = FakeHeadscale(turns.clock)
    clock = TurnClock(turns)

    def tool(passage: Passage) -> Any:
        slow = Slow(turns, turns.mortal(server.face()), lambda: random.uniform(0, 3))
        return turns.start(lambda: open_passage(slow, clock, passage))

    victim, other = tool(PASSAGES[0]), tool(PASSAGES[1])
    turns.run(victim, other, until=lambda: turns.clock.monotonic() >= moment)
    turns.kill(victim)
    turns.run(other)
    assert other.error is None
    assert PASSAGES[1] in stored(server)
    assert turns.clock.monotonic() < moment + LEASE.total_seconds() + 60
    if not isinstance(victim.error, Killed):
        assert PASSAGES[0] in stored(server)


def test_a_tool_that_slept_under_the_lock_does_not_write_what_it_made_before() -> None:
    clock = ManualClock()
    server = FakeHeadscale(clock)

    class Sleeper(FakeCoordinator):
        slept = False

        def nodes(self) -> list[Node]:  # between its reading and its writing
            if not self.slept:
                self.slept = True
                clock.advance(2 * LEASE.total_seconds())
                open_passage(server.face(), clock, PASSAGES[1])
            return list(super().nodes())

    open_passage(Sleeper(server, server.mint_api_key(3600).text), clock, PASSAGES[0])
    assert stored(server) == {PASSAGES[0], PASSAGES[1]}
    assert server.users == {}


def test_the_lock_of_a_living_tool_is_respected() -> None:
    clock = ManualClock()
    server = FakeHeadscale(clock)
    lock = server.face().create_user(LOCK).id

    def renewed() -> None:  # somebody who holds it for ever
        server.users[lock] = replace(server.users[lock], created=clock.now())

    clock.on_pause = renewed
    with pytest.raises(CoordinatorError) as refused:
        open_passage(server.face(), clock, PASSAGES[0])
    assert refused.value.code == "tailnet.busy"
    assert list(server.users) == [lock]
    assert server.policy is None


def join(server: FakeHeadscale, *tags: str) -> str:
    key = server.face().create_join_key(600, tags=tags).text
    return server.join(key, "node")


def test_a_node_that_leaves_between_making_and_judging_costs_another_try() -> None:
    clock = ManualClock()
    server = FakeHeadscale(clock)
    open_passage(server.face(), clock, PASSAGES[0])
    gone, _ = join(server, PASSAGES[0].device_tag), join(server, PASSAGES[0].helper_tag("hana"))

    class Leaving(FakeCoordinator):
        def set_policy(self, text: str) -> Any:
            server.nodes.pop(gone, None)
            return super().set_policy(text)

    open_passage(Leaving(server, server.mint_api_key(3600).text), clock, PASSAGES[1])
    assert stored(server) == {PASSAGES[0], PASSAGES[1]}
    assert gone not in server.nodes


def test_a_policy_that_is_refused_for_good_is_told_and_the_lock_given_back() -> None:
    clock = ManualClock()
    server = FakeHeadscale(clock)

    class Refusing(FakeCoordinator):
        def set_policy(self, text: str) -> Any:
            raise CoordinatorError("headscale.refused", "the Headscale server refuses this: test(s) failed")

    with pytest.raises(CoordinatorError, match="failed"):
        open_passage(Refusing(server, server.mint_api_key(3600).text), clock, PASSAGES[0])
    assert server.users == {}


def test_a_network_of_others_is_not_cut_off() -> None:
    server = FakeHeadscale(ManualClock())
    user = server.face().create_user("somebody").id
    server.join(server.face().create_join_key(600, user=user).text, "laptop")
    with pytest.raises(CoordinatorError) as refused:
        open_passage(server.face(), server.clock, PASSAGES[0])
    assert refused.value.code == "tailnet.foreign"
    assert server.policy is None


def test_a_policy_of_others_is_left_as_it_is() -> None:
    server = FakeHeadscale(ManualClock())
    theirs = '{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}'
    server.face().set_policy(theirs)
    with pytest.raises(CoordinatorError, match="was not written by support-tunnel"):
        open_passage(server.face(), server.clock, PASSAGES[0])
    with pytest.raises(CoordinatorError, match="was not written by support-tunnel"):
        close_passage(server.face(), server.clock, PASSAGES[0].device)
    assert server.policy is not None
    assert server.policy.text == theirs
    assert server.users == {}


def test_a_tunnels_name_that_another_ticket_has_is_refused() -> None:
    server = FakeHeadscale(ManualClock())
    open_passage(server.face(), server.clock, PASSAGES[0])
    with pytest.raises(WrongState):
        open_passage(server.face(), server.clock, replace(PASSAGES[0], ticket="other"))
    assert stored(server) == {PASSAGES[0]}
    assert server.users == {}


def test_what_is_there_already_is_not_written_again() -> None:
    server = FakeHeadscale(ManualClock())
    open_passage(server.face(), server.clock, PASSAGES[0])
    first = server.policy
    open_passage(server.face(), server.clock, PASSAGES[0])
    assert server.policy is first
    join(server, PASSAGES[0].device_tag)
    join(server, PASSAGES[0].helper_tag("hana"))
    open_passage(server.face(), server.clock, PASSAGES[0])  # its tests are new
    assert server.policy is not first
    assert stored(server) == {PASSAGES[0]}
