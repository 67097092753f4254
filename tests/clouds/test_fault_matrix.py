"""Property P6 over real HTTP, the real driver and a real ledger: a tool that gets SIGKILL at a request to a cloud that is in trouble.

Whatever happens, once a day has passed a sweep leaves none of our servers and firewalls, whether by the same machine with its ledger or
by another one that sees the tags alone; what others have is as it was, and the ledger is empty. The requests are those that a
verb was seen to send: a test fails if there is one at which nobody was killed.

On each cloud one of the verbs that end things is killed all through, by turns, and pairs of a kill and a trouble are drawn.
All verbs with all pairs, on every cloud: tests/clouds/whole_matrix.py, by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support_tunnel.testing.faults import Side
from tests.clouds.ambush import Kill
from tests.clouds.played import PLAYED
from tests.clouds.trial import (
    KILLED,
    KINDS,
    SIDES,
    SWEEPERS,
    Deed,
    Ground,
    Story,
    Sweeper,
    ground,
    killed_at_each,
    troubled,
)
from tests.clouds.victim import DONE, ERROR

DEEDS: tuple[Deed, ...] = get_args(Deed)


@pytest.fixture(scope="module", params=list(PLAYED))
def played(request: pytest.FixtureRequest) -> Iterator[Ground]:
    with ground(PLAYED[request.param]) as made:
        yield made


@pytest.mark.parametrize("ends", [False, True], ids=["create", "end"])
def test_killed_at_any_request_nothing_stays(played: Ground, ends: bool) -> None:
    turn = list(PLAYED).index(played.name) % 3
    trials = list(killed_at_each(played, Story(DEEDS[1 + turn] if ends else "create"), both=not ends))
    assert [(story, done.wrong) for story, done in trials if done.wrong] == []
    killed = [done.requests for _, done in trials if done.ended == KILLED]
    (_, last), *others = [one for one in trials if one[1].ended != KILLED]
    assert (last.ended, others) == (DONE, [])
    assert {*range(1, last.requests + 1)} <= {*killed}, "a request at which nobody was killed"


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    deed=st.sampled_from(DEEDS),
    kind=st.sampled_from(KINDS),
    first=st.integers(1, 14),
    times=st.sampled_from([1, 1, 2, 100]),
    later=st.integers(0, 8),
    side=st.sampled_from(SIDES),
    sweeper=st.sampled_from(SWEEPERS),
)
def test_killed_while_the_cloud_is_in_trouble_nothing_stays(
    played: Ground, deed: Deed, kind: str, first: int, times: int, later: int, side: Side, sweeper: Sweeper
) -> None:
    story = troubled(Story(deed, Kill(first + later, side), sweeper=sweeper), kind, first, times)
    done = played.play(story)
    assert done.wrong == []
    assert done.ended in (KILLED, DONE, ERROR)


def test_killed_at_any_port_call_nothing_stays() -> None:
    """Between requests too: before each thing that is written down. One cloud for all, they differ in their requests alone."""
    with ground(PLAYED["hetzner"]) as played:
        calls = played.play(Story("create")).calls
        assert {"account.write", "cloud.create", "ledger.write", "mailbox.post", "vault.put"} <= set(calls)
        for number in range(1, len(calls) + 1):
            done = played.play(Story("create", call=Kill(number, "before")))
            assert (done.ended, done.calls, done.wrong) == (KILLED, calls[:number], [])


def test_each_trouble_is_one() -> None:
    """A tool that nobody kills gets into it: it fails, or asks once more than it would have to."""
    struck: dict[str, tuple[Deed, int]] = dict.fromkeys(KINDS, ("create", 1))
    struck |= {"empty list": ("stop", 1), "stale list": ("stop", 1), "name taken": ("create", 3)}
    struck |= {"clock ahead": ("sweep", 1), "clock behind": ("sweep", 1)}
    with ground(PLAYED["hetzner"]) as played:
        well = {deed: played.play(Story(deed)).requests for deed in DEEDS}
        for kind, (deed, first) in struck.items():
            done = played.play(troubled(Story(deed), kind, first, 1))
            assert done.wrong == [], kind
            assert done.ended == ERROR or done.requests > well[deed], kind
