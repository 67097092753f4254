"""The owner behind a program of theirs (an appliance's own page): questions go out as values, answers come in as lines.

Whoever runs the tool is root on the device already; this is another way to show the same questions, not another right.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import asdict

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core.errors import ConsentRefused, UsageError
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
        self._tell({"event": "asking", **told, "scope": who.scope.to_dict()})

    def ask(self, question: str, *, about: Question, timeout: float) -> str:
        """Raises UsageError `prompt.closed` when nobody can answer any more, or the line is none."""
        self._tell({"event": "question", "about": about, "text": question.strip()})
        deadline = self._clock.monotonic() + timeout
        typed = b""
        while not typed.endswith(b"\n"):
            left = max(0.0, deadline - self._clock.monotonic())
            if not select.select([self._descriptor], [], [], left)[0]:
                raise ConsentRefused("consent.timeout", "nobody answered in time", next_step="Make a new request.")
            # One at a time: what comes after the line answers the next question, or nothing.
            got = os.read(self._descriptor, 1)
            if not got or len(typed) > LONGEST:
                raise UsageError(
                    "prompt.closed",
                    "the program that asks the owner gave no line to this question",
                    next_step="Write one line for each event `question` to stdin, and keep stdin open.",
                )
            typed += got
        return typed.decode(errors="replace").strip()
