"""The owner's screens: whatever the stage, who, what, until when and how to stop it are on each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from support_tunnel.core import owner_screens as screens
from support_tunnel.core.owner_screens import Introduction, introduction
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.people import Helper
from tests.core.test_login_key import ED25519, P256, SK_ED25519

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SCOPE = Scope("shell", (8080,), files=True)


@pytest.fixture
def stranger(parties: Any) -> Introduction:
    device = parties.offer()
    session = parties.opened(device, parties.answer(device.message).message)
    session.confirm(parties.now)
    return introduction(session)


def every_screen(who: Introduction) -> dict[str, str]:
    return {
        "waiting": screens.waiting(SCOPE, ttl=1800, until=NOW),
        "approved": screens.waiting(SCOPE, ttl=60, until=NOW, approved=True),
        "answered": screens.answered(SCOPE, ttl=1800, until=NOW, say_yes="inv approve 1a2b3c4d"),
        "advance": screens.advance(SCOPE, ttl=1800, wait=3600, organisations=["Example Ltd"]),
        "undecided": screens.undecided("Ann", SCOPE, ttl=1800),
        "asking": screens.asking(who),
        "active": screens.active("Ann", Scope("root", tuple(range(8000, 8016)), files=True), until=NOW),
        "ended": screens.ended("Ann", when=NOW, reason="the owner ended it", log="/var/log/x"),
        "refused": screens.refused("you said no"),
    }


def test_who_what_until_when_and_how_to_stop_are_on_each(stranger: Introduction) -> None:
    for stage, text in every_screen(stranger).items():
        labels = {line[2:10].strip() for line in text.splitlines() if line.startswith("  ")}
        assert {"Who", "May", "Until", "To stop"} <= labels, stage
        assert all(len(line) <= 80 for line in text.splitlines()), stage


def test_a_live_one_says_the_command_that_stops_it(stranger: Introduction) -> None:
    for stage, text in every_screen(stranger).items():
        assert ("inv stop (at any time, also without a network)" in text) is (stage not in {"ended", "refused"}), stage


def test_each_helper_is_there_with_their_key_before_and_after_the_yes(stranger: Introduction) -> None:
    helpers = tuple(Helper(name, key) for name, key in (("Bea", ED25519), ("C" * 64, P256), ("Dee", SK_ED25519)))
    active = screens.active("Ann", SCOPE, until=NOW, helpers=helpers)
    shown = (
        screens.asking(replace(stranger, helpers=helpers)),
        screens.undecided("Ann", SCOPE, ttl=60, helpers=helpers),
        active,
    )
    for text in shown:
        assert all(len(line) <= 80 for line in text.splitlines())
        words = " ".join(text.split())
        assert [helper for helper in helpers if f"{helper.name}, with the key {helper.fingerprint}" not in words] == []
    assert active.startswith("4 helpers are let in.")


def test_scope_is_one_line_a_right(stranger: Introduction) -> None:
    lines = screens.active("Ann", SCOPE, until=NOW).splitlines()
    assert "  May     work as an ordinary user, without the rights of root" in lines
    assert "          copy files to and from it" in lines
    assert "          reach its own services on port 8080" in lines


def test_somebody_unknown(stranger: Introduction) -> None:
    text = screens.asking(stranger)
    for words in (
        "Ann Support",
        stranger.fingerprint,
        "NOT VERIFIED: anybody with the code",
        "first time on this device",
        "ordinary user",
        "2026-05-04 12:10 UTC (10 minutes)",
    ):
        assert words in text
    assert " verified: " not in text


def test_somebody_met_before(parties: Any) -> None:
    device = parties.offer()
    session = parties.opened(device, parties.answer(device.message).message)
    session.confirm(parties.now)
    text = screens.asking(introduction(session, met_before=3, last_met=parties.now))
    assert "here 3 times before, last on 2026-05-04" in text
    assert "NOT VERIFIED" in text
