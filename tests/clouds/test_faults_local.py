"""Property P6 where servers are real: a tool that gets SIGKILL at a step of the local cloud, and a sweep by the same machine or another.

What becomes of any one step of a node is in tests/adapters/test_local_cloud_kill.py. Here a verb is killed at every fourth of its steps;
at all of them: SUPPORT_TUNNEL_EVERY_STEP=1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from support_tunnel.adapters.local_cloud import leaks
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.clouds.local import Local
from tests.clouds.trial import DAY, KILLED, SWEEPERS, Deed, Ground, Story, ground
from tests.clouds.victim import DONE

pytestmark = pytest.mark.onebox

STRIDE = 1 if os.environ.get("SUPPORT_TUNNEL_EVERY_STEP") else 4


@pytest.fixture(scope="module")
def played() -> Iterator[Ground]:
    with scratch_cloud() as driver:
        with ground(lambda: Local(driver)) as made:
            yield made
        driver.ex_destroy_all()
        assert leaks.find(Path(driver.key)) == []


@pytest.mark.parametrize("deed", ["create", "stop", "sweep by tags"])
def test_killed_at_steps_of_the_cloud_nothing_stays(played: Ground, deed: Deed) -> None:
    killed = 0
    for number in count(1, STRIDE):
        # A clock that is a day off besides, at every other one.
        story = Story(deed, step=number, sweeper=SWEEPERS[killed % 2], ahead=DAY * (killed % 4 // 2))
        done = played.play(story)
        assert done.wrong == [], story
        if done.ended != KILLED:
            assert done.ended == DONE
            break
        killed += 1
    assert killed * STRIDE > 6, "the steps were not seen"
