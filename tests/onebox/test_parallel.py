"""A device that allows several sessions: five at once, each with a server of its own; stopping one is nothing to the others."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.onebox.crew import HOST_STATE, Crew

pytestmark = pytest.mark.onebox

CONFIG = "/etc/support_tunnel/config.ini"
AT_ONCE = 5


def in_it(people: Crew, short: str) -> str:
    return people.fab("command", short, "id -un").stdout.strip()


def test_five_at_once_and_one_stopped(trusting: Crew) -> None:
    before = trusting.device(HOST_STATE)
    trusting.device(f"cp -p {CONFIG} /root/config.ini; echo max-sessions = {AT_ONCE} >> {CONFIG}")
    with ThreadPoolExecutor(AT_ONCE) as lanes:
        live = list(lanes.map(lambda _: trusting.connect("--ttl", "10"), range(AT_ONCE)))
        shorts = [session.names.short for session in live]
        assert len(set(shorts)) == AT_ONCE
        sixth = trusting.inv("request", "--json")
        assert json.loads(sixth.stdout.splitlines()[-1])["error"]["code"] == "tunnel.active"

        first, *others = shorts
        assert json.loads(trusting.inv("stop", first, "--json").stdout) == {"stopped": [live[0].tunnel]}
        assert list(lanes.map(lambda short: in_it(trusting, short), others)) == [f"st{short}" for short in others]
        assert trusting.fab("command", first, "true").status == 6

        assert trusting.inv("stop").status == 0
        assert [ended.status for ended in lanes.map(lambda short: trusting.fab("stop", short), shorts)] == [0] * AT_ONCE
    assert [thing for session in live for thing in trusting.left(session.tunnel)] == []
    trusting.device(f"mv /root/config.ini {CONFIG}")
    assert trusting.device(HOST_STATE).splitlines() == before.splitlines()
