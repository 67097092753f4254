"""What the owner reads at each stage of a tunnel: always who, what they may do, until when, and how to stop it.

Text only: who shows it, and where, is for others. Names of the other side have passed the protocol's pattern already; a
terminal still shows nothing raw.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from support_tunnel.core.consent import Asking
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.people import Helper

__all__ = [
    "STOP",
    "Introduction",
    "active",
    "advance",
    "answered",
    "asking",
    "ended",
    "introduction",
    "refused",
    "waiting",
]

STOP: Final = "inv stop"
_ANY_TIME: Final = "(at any time, also without a network)"
_NOTHING: Final = "nothing"
_TOGETHER: Final = "\N{NO-BREAK SPACE}"
"""Between words that stay on one line; a plain space once the lines are made."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who asks to be let in, as far as it is known, and for what."""

    name: str
    organisation: str | None
    """None: nobody vouches for them."""
    key_id: str
    fingerprint: str
    met_before: int
    """Earlier tunnels with this key."""
    last_met: datetime | None
    scope: Scope
    ttl: int
    """Seconds."""
    until: datetime
    helpers: tuple[Helper, ...] = ()
    """Who would come besides them."""

    def vouched(self) -> str:
        if not self.organisation:
            return "NOT VERIFIED: anybody with the code"
        return f"verified: {self.organisation}" + (f" ({self.key_id})" if self.key_id else "")

    def met(self) -> str:
        if not self.met_before:
            return "first time on this device"
        times = "once" if self.met_before == 1 else f"{self.met_before} times"
        return f"here {times} before" + (f", last on {self.last_met:%Y-%m-%d}" if self.last_met else "")


def introduction(asking: Asking, *, met_before: int = 0, last_met: datetime | None = None) -> Introduction:
    signer, answer = asking.signer, asking.answer
    return Introduction(
        name=answer.name,
        organisation=signer.organisation,
        key_id=signer.key_id,
        fingerprint=signer.fingerprint,
        met_before=met_before,
        last_met=last_met,
        scope=answer.scope,
        ttl=answer.ttl,
        until=asking.until,
        helpers=answer.helpers,
    )


def advance(scope: Scope, *, ttl: int, wait: int, organisations: Sequence[str] = (), stop: str = STOP) -> str:
    """What an owner reads who wants to say yes before anybody has answered; `ttl` and `wait` in seconds."""
    who = f"anybody of {' or '.join(organisations)} who has the code" if organisations else "ANYBODY who has the code"
    return _card(
        "You are about to say yes before you know who comes. You will not be asked again, and no digits are compared.",
        [("Who", who), *_may(scope), ("Until", f"{_minutes(ttl)}, beginning at any time in the next {_minutes(wait)}")],
        stop,
    )


def waiting(scope: Scope, *, ttl: int, until: datetime, approved: bool = False, stop: str = STOP) -> str:
    """The request is out and nobody has answered; `ttl` seconds, `until` the end of the request itself."""
    who = (
        "whoever has the code; you approved that, and are not asked again" if approved else "nobody yet; you are asked"
    )
    return _card(
        "Waiting for a helper.",
        [
            ("Who", who),
            *_may(scope),
            ("Until", f"{_minutes(ttl)} once they are in; unanswered, the request ends {_time(until)}"),
        ],
        stop,
    )


def answered(scope: Scope, *, ttl: int, until: datetime, say_yes: str, stop: str = STOP) -> str:
    """Somebody has answered a request that waits for the owner; `say_yes` is the command by which they are asked."""
    return _card(
        "A helper has answered.",
        [
            ("Who", f"nobody yet; see who it is, and decide: {say_yes}"),
            *_may(scope),
            ("Until", f"{_minutes(ttl)} from when you look; without a yes it ends {_time(until)}"),
        ],
        stop,
    )


def asking(who: Introduction, *, stop: str = STOP) -> str:
    """What the owner reads before the digits and the yes."""
    return _card(
        "Somebody asks to be let in to this device.",
        [
            ("Who", who.name),
            ("", who.vouched()),
            ("Key", who.fingerprint),
            ("", who.met()),
            *_also(who.helpers),
            *_may(who.scope),
            ("Until", f"{_time(who.until)} ({_minutes(who.ttl)}), then everything is closed"),
        ],
        stop,
    )


def undecided(name: str, scope: Scope, *, ttl: int, helpers: Sequence[Helper] = (), stop: str = STOP) -> str:
    """The question is on a screen already."""
    return _card(
        "A helper has answered, and the question waits on the screen where support was asked for.",
        [
            ("Who", f"{name}, who is not let in yet"),
            *_also(helpers),
            *_may(scope),
            ("Until", f"{_minutes(ttl)} from their answer"),
        ],
        stop,
    )


def active(name: str, scope: Scope, *, until: datetime, helpers: Sequence[Helper] = (), stop: str = STOP) -> str:
    """Somebody is in."""
    return _card(
        f"{len(helpers) + 1} helpers are let in." if helpers else "A helper is let in.",
        [("Who", name), *_also(helpers), *_may(scope), ("Until", f"{_time(until)}, then everything is closed")],
        stop,
    )


def ended(name: str, *, when: datetime, reason: str, log: str) -> str:
    """It is over; `log` is where the session's record lies."""
    who = f"{name} is out" if name else "nobody was let in"
    return _card(
        "Closed.",
        [("Who", who), ("May", _NOTHING), ("Until", f"ended {_time(when)}: {reason}"), ("Log", log)],
        "there is nothing to stop any more",
        note="",
    )


def refused(reason: str) -> str:
    """The owner, or a rule, said no."""
    return _card(
        "Nobody was let in.",
        [("Who", "nobody"), ("May", _NOTHING), ("Until", f"over: {reason}")],
        "there is nothing to stop; for help, ask again and give out the new code",
        note="",
    )


def _also(helpers: Sequence[Helper]) -> list[tuple[str, str]]:
    """Each by name and by the fingerprint of the key that lets them in: what the owner can compare with what they were told."""
    lines = [f"{helper.name}, with the key {helper.fingerprint}" for helper in helpers]
    return [("Also" if number == 0 else "", text) for number, text in enumerate(lines)]


def _may(scope: Scope) -> list[tuple[str, str]]:
    first, *more = scope.words().split("; ")
    return [("May", first), *(("", part) for part in more)]


def _minutes(seconds: int) -> str:
    return "1 minute" if seconds == 60 else f"{seconds // 60} minutes"


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC".replace(" ", _TOGETHER)


def _card(title: str, rows: list[tuple[str, str]], stop: str, *, note: str = _ANY_TIME) -> str:
    shown = [*rows, ("To stop", f"{stop} {note}".rstrip())]
    lines = [line for label, text in shown for line in _wrapped(text, f"  {label:<8}", " " * 10)]
    return "\n".join([*_wrapped(title), "", *lines, ""])


def _wrapped(text: str, first: str = "", others: str = "") -> list[str]:
    """For a terminal of 80 columns, the narrowest that people have."""
    lines = textwrap.wrap(
        text, 80, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_TOGETHER, " ") for line in lines]
