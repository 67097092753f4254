"""A request that waits on a real device without a tool: the owner comes back for it, a timer opens it, its time ends it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.processes import Streaming
from support_tunnel.cli.admin.rehearsal.stage import invoke_on_device
from support_tunnel.core.names import Names
from support_tunnel.core.ports import Completed
from support_tunnel.core.st1.code import Code
from support_tunnel.core.waiting import wait_for
from tests.onebox.crew import HOST_STATE, PATIENCE, Crew, last_json
from tests.onebox.talk import talk
from tests.onebox.window import window

pytestmark = pytest.mark.onebox


@pytest.fixture(autouse=True)
def device_is_as_before(people: Crew) -> Iterator[None]:
    before = people.device(HOST_STATE)
    yield
    assert people.device(HOST_STATE).splitlines() == before.splitlines()


def asked(people: Crew, *words: str) -> Code:
    said = people.inv("request", "--json", *words)
    assert said.status == 0, said.stderr
    return Code.parse(json.loads(said.stdout.splitlines()[0])["preshared_key"])


@contextmanager
def helper(people: Crew, code: Code) -> Iterator[Streaming]:
    """A helper who has answered and waits."""
    file = people.inventory.with_name(f"code-{code.tunnel[:8]}")
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    file.write_text(code.text().reveal())
    with processes.streaming(people.fab_words("create-tunnel-server", "--json", "-p", f"file:{file}")) as answering:
        wait_for(
            lambda: True if row(people)["state"] in ("answered", "asking") else None,
            what="the helper's answer",
            seconds=PATIENCE,
            clock=SystemClock(),
        )
        yield answering


def row(people: Crew) -> dict[str, Any]:
    (only,) = json.loads(people.inv("status", "--json").stdout)
    found: dict[str, Any] = only
    return found


def ends(people: Crew, code: Code, answering: Streaming) -> Completed:
    """The session works; then the owner ends it, and the helper's side is taken down too."""
    ended = answering.end(timeout=PATIENCE)
    short = code.tunnel[:8]
    assert ended.status == 0, ended.stderr
    assert people.fab("command", short, "id -un").stdout == f"st{short}\n"
    assert people.inv("stop").status == 0
    assert people.fab("stop", short).status == 0
    assert people.left(code.tunnel) == []
    return ended


def test_the_owner_comes_back_and_approves(people: Crew) -> None:
    code = asked(people, "--ttl", "5")
    short = code.tunnel[:8]
    assert row(people)["state"] == "requested"
    early = people.inv("approve", short)
    assert (early.status, "nobody has answered yet" in early.stderr) == (4, True)
    assert people.inv("gc").stdout == "nothing to clean up\n"
    with helper(people, code) as answering:
        assert f"inv approve {short}" in people.inv("status").stderr
        unattended = people.inv("connect-approved-tunnels")
        assert unattended.stdout == f"{short} asks for your yes: inv approve {short}\n"
        with window(people.inv_in_terminal("approve")) as screen:
            screen.sees("Six digits")
            screen.types(json.loads(answering.line())["digits"] + "\n")
            screen.sees("Let them in?")
            screen.types("yes\n")
            screen.sees("A helper is let in")
            assert screen.end() == 0
        ends(people, code, answering)


def test_a_timer_opens_what_the_owner_approved_in_advance(people: Crew) -> None:
    with window(people.inv_in_terminal("request", "--ttl", "5", "--approve-in-advance")) as screen:
        screen.sees("ANYBODY who has the code")
        screen.sees("Type approve")
        screen.types("approve\n")
        screen.sees("preshared_key: ")
        code = Code.parse(screen.sees("\n"))
        assert screen.end() == 0
    with helper(people, code) as answering:
        opened = people.inv("connect-approved-tunnels", "--json")
        assert opened.status == 0, opened.stderr
        (one,) = json.loads(opened.stdout)
        assert (one["tunnel_id"], one["state"]) == (code.tunnel, "connected")
        ends(people, code, answering)
    (detail,) = (
        each for each in json.loads(people.inv("detail-all-tunnels").stdout) if each["tunnel_id"] == code.tunnel
    )
    assert (detail["consent"], detail["log"]["holds"]) == ("in advance", True)


def test_a_request_ends_by_its_own_timer(people: Crew) -> None:
    code = asked(people, "--wait", "7")
    unit = Names(code.tunnel).request_unit
    left = people.device(f"systemctl list-timers --all --output=json {unit}.timer 2>/dev/null || echo")
    assert unit in left
    people.device(f"systemctl start {unit}.service")  # what the timer does when it elapses
    people.closed()
    assert people.left(code.tunnel) == []
    log = people.device(f"cat /var/log/support_tunnel/{code.tunnel[:8]}.jsonl")
    assert "nobody answered the request in time" in json.loads(log.splitlines()[-1])["data"]["reason"]


def test_a_second_request_is_refused_and_stop_takes_the_first_back(people: Crew) -> None:
    code = asked(people)
    with ThreadPoolExecutor(3) as lanes:  # the timer, the button and the owner's command at once
        others = list(lanes.map(lambda verb: people.inv(verb, "--json"), ["request", "request-and-connect", "request"]))
    assert [last_json(other.stdout)["error"]["code"] for other in others] == ["tunnel.active"] * 3
    assert json.loads(people.inv("stop", "--json").stdout) == {"stopped": [code.tunnel]}
    assert people.left(code.tunnel) == []


PAGE = """
import json, sys
from support_tunnel.device import Device

def say(**words):
    print(json.dumps(words), flush=True)

class Page:
    def show(self, text):
        say(shown=text)
    def introduce(self, who):
        say(who=who.name, scope=who.scope.level)
    def ask(self, question, *, about, timeout, stopped):
        say(about=about)
        return sys.stdin.readline()

device = Device()
asked = device.request(ttl=300)
say(code=asked.code.reveal())
connected = device.connect(asked.tunnel, Page(), wait=120)
say(user=connected.opened.user, state=device.status()[0].state)
sys.stdin.readline()
say(stopped=device.stop())
"""


def test_an_appliances_own_page_asks_through_the_library(people: Crew) -> None:
    people.device(f"cat > /root/page.py <<'END'\n{PAGE}END\n")
    python = invoke_on_device("/root/page.py").replace("/inv /root", "/python /root")
    with talk([*people.on.device.ssh, python]) as page:
        code = Code.parse(page.hears()["code"])
        with helper(people, code) as answering:
            assert page.hears() == {"who": people.on.settings.display_name, "scope": "shell"}
            assert page.hears() == {"about": "digits"}
            page.says(json.loads(answering.line())["digits"])
            assert page.hears() == {"about": "decision"}
            page.says("yes")
            assert page.hears() == {"user": f"st{code.tunnel[:8]}", "state": "active"}
            assert answering.end(timeout=PATIENCE).status == 0
        page.says("")
        assert page.hears() == {"stopped": [code.tunnel]}
        assert page.end() == 0
    people.device("rm /root/page.py")
    assert people.fab("stop", code.tunnel[:8]).status == 0
    assert people.left(code.tunnel) == []


def test_a_program_in_any_language_asks_by_lines(people: Crew) -> None:
    words = invoke_on_device("request-and-connect-tunnel", "--json", "--answers-on-stdin", "--ttl", "5")
    with talk([*people.on.device.ssh, words]) as page:
        code = Code.parse(page.hears()["preshared_key"])
        with helper(people, code) as answering:
            who = page.hears()
            assert (who["event"], who["name"], who["organisation"]) == ("asking", people.on.settings.display_name, None)
            assert who["scope"] == {"files": False, "level": "shell", "ports": []}
            question = page.hears()
            assert (question["event"], question["about"]) == ("question", "digits")
            page.says("no")
            assert page.hears()["error"]["code"] == "consent.declined"
            assert page.end() == 3
            ended = answering.end(timeout=PATIENCE)
    assert (ended.status, last_json(ended.stdout)["error"]["code"]) == (3, "consent.declined")
    assert people.left(code.tunnel) == []
