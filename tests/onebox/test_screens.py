"""The owner's screens as they really are: docs/screens.md is made from a session on a real device, and this test holds it.

SUPPORT_TUNNEL_WRITE_DOCS=1 ./test tests/onebox/test_screens.py     # writes the page anew
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.onebox.crew import PATIENCE, Crew
from tests.onebox.test_owner import asked, request

pytestmark = pytest.mark.onebox

PAGE = Path(__file__).resolve().parents[2] / "docs/screens.md"

HEAD = """# What the owner sees

Every screen says who, what they may do, until when, and how to stop it. This page is made from a session on a real
device by `tests/onebox/test_screens.py`, which fails when a screen has changed; ids, times and keys are replaced by others.
"""

STAND_INS = (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"\r", ""),
    (r"st1[a-z0-9]{59}", "st1q" + "x" * 58),
    (r"\b[0-9a-f]{32}\b", "1a2b3c4d" * 4),
    (r"\b(?=[0-9a-f]*[a-f])[0-9a-f]{8}\b|(?<= )[0-9]{8}\b|(?<=/)[0-9a-f]{8}(?=\.jsonl)", "1a2b3c4d"),
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:" + "x" * 43),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "2030-01-31 12:00"),
    (r"\b\d\d:\d\d\b", "12:00"),
    (r"(?<=or no\): )\d{6}\b", "123456"),
)


def still(text: str) -> str:
    """The same text for every session."""
    for pattern, stand_in in STAND_INS:
        text = re.sub(pattern, stand_in, text)
    return text


def part(screen: str, first: str, last: str) -> str:
    """From where `first` was shown last to the end of the next line with `last`; what moved on that line before is left out."""
    begin = screen.rindex(first)
    end = screen.index("\n", screen.index(last, begin))
    return "\n".join(line.rstrip() for line in screen[begin:end].splitlines())


def said(people: Crew, verb: str) -> str:
    done = people.inv(verb)
    assert done.status == 0, done.stderr
    return done.stdout + done.stderr


def screens(people: Crew) -> dict[str, tuple[str, str]]:
    """By stage: the command, and what it shows."""
    ask, found = "inv request-and-connect-tunnel --ttl 5", {}
    with asked(people, "--ttl", "5") as asking:
        answered = said(people, "status")
        asking.screen.types(f"{asking.digits}\n")
        asking.screen.sees("Let them in?")
        asking.screen.types("yes\n")
        assert asking.screen.end() == 0
        assert asking.helper.end(timeout=PATIENCE).status == 0
        shown = still(asking.screen.screen)
    found["The request"] = (ask, part(shown, "tunnel_id: ", "  To stop"))
    found["Somebody has answered: the question"] = (ask, part(shown, "Somebody asks", "Let them in?"))
    found["The same, on another screen"] = ("inv status", answered)
    found["They are in"] = (ask, part(shown, "connected: ", "  To stop"))
    found["While they are in"] = ("inv status", said(people, "status"))
    found["Ended by the owner"] = ("inv stop", said(people, "stop"))
    assert people.fab("stop", asking.code.tunnel[:8]).status == 0
    with request(people, "--ttl", "5") as (screen, _):
        screen.sees("Waiting for a helper")
        found["Nobody has answered yet"] = ("inv status", said(people, "status"))
    people.closed()
    with asked(people, "--ttl", "5") as asking:
        asking.screen.types("no\n")
        assert asking.screen.end() == 3
        assert json.loads(asking.helper.end(timeout=PATIENCE).stdout.splitlines()[-1])["error"]["code"]
        found["Refused"] = (ask, part(still(asking.screen.screen), "Nobody was let in", "  -> "))
    return found


def test_the_page_shows_every_screen_as_it_is(people: Crew) -> None:
    found = screens(people)
    for stage, (_, shown) in found.items():
        assert all(label in shown for label in ("  Who ", "  May ", "  Until ", "  To stop ")), stage
    order = ("The request", "Nobody has answered yet", *found)
    parts = [
        f"## {stage}\n\n    $ {found[stage][0]}\n\n```\n{still(found[stage][1]).strip()}\n```\n"
        for stage in dict.fromkeys(order)
    ]
    page = "\n".join([HEAD, *parts])
    if os.environ.get("SUPPORT_TUNNEL_WRITE_DOCS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page
