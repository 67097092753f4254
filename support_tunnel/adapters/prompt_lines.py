"""The owner behind a program of theirs (an appliance's own page): questions go out as values, answers come in as lines.

Whoever runs the tool is root on the device already; this is another way to show the same questions, not another right.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import asdict

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.terminal import LOOK, refusal
from support_tunnel.core.errors import UsageError
from support_tunnel.core.owner_screens import Introduction
from support_tunnel.core.ports import Clock, Question

__all__ = ["LinesPrompt"]

LONGEST = 200
"""Bytes of an answer: six digits or a word."""


class LinesPrompt:
    """`ports.Prompt`. `tell` is given each event; answers are read from `descriptor`, one line each."""

    def __init__(
        self, tell: Callable[[dict[str, object]], None], descriptor: int, *, clock: Clock | None = None
    ) -> None:
        self._tell = tell
        self._descriptor = descriptor
        self._clock = clock or SystemClock()

    def show(self, text: str) -> None:
        self._tell({"event": "shown", "text": text})

    def introduce(self, who: Introduction) -> None:
        told = asdict(who)
        helpers = [helper.shown() for helper in who.helpers]
        self._tell({"event": "asking", **told, "scope": who.scope.to_dict(), "helpers": helpers})

    def ask(self, question: str, *, about: Question, timeout: float, stopped: Callable[[], bool]) -> str:
        """Raises UsageError `prompt.closed` when nobody can answer any more, or the line is none."""
        self._forget_what_came_before()
        self._tell({"event": "question", "about": about, "text": question.strip()})
        deadline = self._clock.monotonic() + timeout
        typed = b""
        while not typed.endswith(b"\n"):
            left = min(LOOK, deadline - self._clock.monotonic())
            if not self._has_more(max(0.0, left)):
                if over := refusal(stopped, left <= 0):
                    raise over
                continue
            # One at a time: what comes after the line was written before the next question, and is no answer to it.
            got = os.read(self._descriptor, 1)
            if not got or len(typed) > LONGEST:
                raise UsageError(
                    "prompt.closed",
                    "the program that asks the owner gave no line to this question",
                    next_step="Write one line for each event `question` to stdin, after it, and keep stdin open.",
                )
            typed += got
        return typed.decode(errors="replace").strip()

    def _forget_what_came_before(self) -> None:
        """An answer that was there before its question would be the blanket yes that there is not."""
        while self._has_more(0.0) and os.read(self._descriptor, 4096):
            pass

    def _has_more(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])
