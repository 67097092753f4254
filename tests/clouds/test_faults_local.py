"""Property P6 where servers are real: a tool that gets SIGKILL at a step of the local cloud, and a sweep by the same machine or another.

What becomes of any one step of a node is in tests/adapters/test_local_cloud_kill.py. Here a verb is killed at every fourth of its steps;
at all of them: SUPPORT_TUNNEL_EVERY_STEP=1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.clouds.local import LOCAL
from support_tunnel.adapters.local_cloud import leaks
from support_tunnel.core.ports import ServerSpec
from support_tunnel.testing.clock import ManualClock
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


def failing(times: int, call: Callable[..., Any], *, effect: bool = False) -> Callable[..., Any]:
    """Break off so many times, after the first one's effect where it says so."""
    left = [times]

    def called(*given: Any) -> Any:
        if not left[0]:
            return call(*given)
        left[0] -= 1
        if effect:
            call(*given)
        raise ConnectionError("the line broke")

    return called


def test_answers_that_are_lost_make_one_real_server_and_end_it(played: Ground) -> None:
    """37, 40 and 41 where the server is a real one: adopted, listed in spite of errors, and ended at the sixth try."""
    cloud, clock, before = played.cloud(), ManualClock(), played.everything()
    row = replace(
        LOCAL,
        create=failing(1, LOCAL.create, effect=True),
        listed=failing(3, LOCAL.listed),
        destroy=failing(5, LOCAL.destroy),
    )
    troubled = LibcloudCloud("local", played.settings, clock, rows={"local": row})
    tags = {"st-tunnel": "6b" * 16, "st-owner": "ann@laptop", "st-expires": "2000000000"}
    made = troubled.create(ServerSpec("support-tunnel-6b6b6b6b", "#cloud-config\n{}\n", clock.now(), tags))
    assert played.everything() - before == {made.id}
    assert made.id in {server.id for server in cloud.servers()}
    troubled.destroy(made.id)
    assert played.everything() == before
    assert clock.monotonic() > 15, "five pauses of 1, 2, 4, 8 and 16 seconds, shortened by half at most"
