"""A session ends by the device's own clock, with nobody's help."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core.waiting import wait_for
from tests.onebox.crew import HOST_STATE, PATIENCE, Crew

pytestmark = pytest.mark.onebox


def test_a_session_ends_when_its_minute_is_over(trusting: Crew) -> None:
    before = trusting.device(HOST_STATE)
    live = trusting.connect("--ttl", "1")  # the shortest that ST1 has
    until = datetime.fromisoformat(live.owner["until"])

    def over() -> bool | None:
        return True if json.loads(trusting.inv("status", "--json").stdout) == [] else None

    clock = SystemClock()
    wait_for(over, what="the end of the minute", seconds=60 + PATIENCE, clock=clock, first_pause=2, longest_pause=2)
    assert clock.now() >= until
    assert trusting.device(HOST_STATE).splitlines() == before.splitlines()
    log = trusting.device(f"cat /var/log/support_tunnel/{live.names.short}.jsonl")
    assert json.loads(log.splitlines()[-1])["data"] == {"reason": "the time you allowed is over"}

    swept = trusting.fab("sweep", "--json")
    assert json.loads(swept.stdout)["ended"] == [f"tunnel {live.names.short}"]
    assert trusting.left(live.tunnel) == []
