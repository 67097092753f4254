"""The owner at a real terminal: what they read before they decide, and that each of their ways out is a way out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.processes import Streaming
from support_tunnel.core.st1.code import Code
from tests.onebox.crew import HOST_STATE, PATIENCE, Crew, last_json
from tests.onebox.window import Window, window

pytestmark = pytest.mark.onebox

DIGITS, DECISION = "Six digits", "Let them in?"


@dataclass(frozen=True, slots=True)
class Asked:
    """An owner with the question on their screen, and a helper who waits for the answer."""

    code: Code
    screen: Window
    helper: Streaming
    shown: str
    digits: str

    @property
    def wrong(self) -> str:
        return str((int(self.digits) + 1) % 1_000_000).zfill(6)


@contextmanager
def request(people: Crew, *words: str) -> Iterator[tuple[Window, Code]]:
    """The owner asks; their screen shows the code."""
    with window(people.inv_in_terminal("request-and-connect-tunnel", *words)) as screen:
        screen.sees("preshared_key: ")
        yield screen, Code.parse(screen.sees("\n"))


@contextmanager
def asked(people: Crew, *words: str) -> Iterator[Asked]:
    """A helper has answered, and the owner is asked for the digits."""
    with request(people, *words) as (screen, code):
        file = people.inventory.with_name("code")
        file.touch(mode=0o600)
        file.write_text(code.text().reveal())
        with processes.streaming(people.fab_words("create-tunnel-server", "--json", "-p", f"file:{file}")) as helper:
            screen.sees("Somebody asks to be let in")
            shown = screen.sees(DIGITS)
            said = json.loads(helper.line())
            assert said["event"] == "digits"
            yield Asked(code, screen, helper, shown, said["digits"])


@pytest.fixture(autouse=True)
def device_is_as_before(people: Crew) -> Iterator[None]:
    before = people.device(HOST_STATE)
    yield
    assert people.device(HOST_STATE).splitlines() == before.splitlines()


def test_the_owner_lets_somebody_in_and_throws_them_out(people: Crew) -> None:
    with asked(people, "--ttl", "5", "--name", "Till 3") as asking:
        who, *_ = (line for line in asking.shown.splitlines() if line.strip().startswith("Who"))
        assert people.on.settings.display_name in who
        for words in ("NOT VERIFIED", "SHA256:", "first time on this device", "ordinary user", "UTC", "inv stop"):
            assert words in asking.shown
        asking.screen.types(f"{asking.wrong}\n")
        asking.screen.sees("not the digits")
        asking.screen.sees(DIGITS)
        asking.screen.types(f"{asking.digits[:3]} {asking.digits[3:]}\n")
        asking.screen.sees(DECISION)
        asking.screen.types("yes\n")
        asking.screen.sees("connected: ")
        assert asking.screen.end() == 0
        ended = asking.helper.end(timeout=PATIENCE)
    assert ended.status == 0, ended.stderr
    assert last_json(ended.stdout)["device"] == "Till 3"
    short = asking.code.tunnel[:8]
    (row,) = json.loads(people.inv("status", "--json").stdout)
    assert (row["tunnel_id"], row["state"]) == (asking.code.tunnel, "active")
    assert {"processes", "file-size"} <= set(row["limits"])
    assert people.fab("command", short, "id -un").stdout == f"st{short}\n"

    stopped = people.inv("stop", "--json")
    assert json.loads(stopped.stdout) == {"stopped": [asking.code.tunnel]}

    assert json.loads(people.inv("status", "--json").stdout) == []
    refused = people.fab("command", short, "id -un")
    assert refused.status == 6
    assert refused.stderr.startswith("Error (ssh.")
    assert "Traceback" not in refused.stderr
    assert people.fab("stop", short).status == 0
    assert people.left(asking.code.tunnel) == []
    assert people.times_met() == 1
    (login,) = people.logins(asking.code.tunnel)
    assert login["who"] == people.on.settings.display_name


def test_a_second_time_the_owner_is_told_so_and_refuses(people: Crew) -> None:
    met = people.times_met()
    with asked(people) as asking:
        times = {0: "first time on this device", 1: "here once before"}[met]
        assert times in asking.shown
        asking.screen.types(f"{asking.digits}\n")
        asking.screen.sees(DECISION)
        asking.screen.types("\n")  # anything but yes
        asking.screen.sees("Error (consent.declined)")
        assert asking.screen.end() == 3
        ended = asking.helper.end(timeout=PATIENCE)
    assert (ended.status, last_json(ended.stdout)["error"]["code"]) == (3, "consent.declined")
    assert people.left(asking.code.tunnel) == []
    assert people.times_met() == met


def test_three_wrong_entries_end_it(people: Crew) -> None:
    with asked(people) as asking:
        for _ in range(2):
            asking.screen.types(f"{asking.wrong}\n")
            asking.screen.sees(DIGITS)
        asking.screen.types(f"{asking.wrong}\n")
        asking.screen.sees("Error (sas.wrong)")
        assert asking.screen.end() == 3
        ended = asking.helper.end(timeout=PATIENCE)
    assert (ended.status, last_json(ended.stdout)["error"]["code"]) == (3, "consent.declined")
    assert people.left(asking.code.tunnel) == []


def test_ctrl_c_takes_the_request_back(people: Crew) -> None:
    with request(people) as (screen, code):
        screen.sees("Waiting for a helper")
        screen.types("\x03")
        screen.sees("Interrupted")
        assert screen.end() == 130
    assert people.left(code.tunnel) == []
    late = people.fab("create-tunnel-server", "--json", "-p", "-", stdin=code.text().reveal())
    assert (late.status, last_json(late.stdout)["error"]["code"]) == (4, "tunnel.closed")


def test_a_closed_window_takes_the_request_back(people: Crew) -> None:
    with request(people) as (screen, code):
        screen.sees("Waiting for a helper")
    people.closed()
    assert people.left(code.tunnel) == []


def test_stopping_and_sweeping_what_is_not_there_is_fine(people: Crew) -> None:
    for _ in range(2):
        stopped = people.inv("stop")
        assert (stopped.status, stopped.stdout) == (0, "closed: there was nothing to end\n")
        cleaned = people.inv("gc")
        assert (cleaned.status, cleaned.stdout) == (0, "nothing to clean up\n")
        swept = people.fab("sweep")
        assert (swept.status, swept.stdout) == (0, "nothing to sweep\n")
