"""The person at this terminal: asked on the terminal itself, whatever stdin and stdout are connected to.

Must not show a name of the other side raw (an escape sequence could repaint the question that is being answered), and
must not take for an answer what was typed before the question was there.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core import owner_screens
from support_tunnel.core.consent import stopped_meanwhile
from support_tunnel.core.errors import ConsentRefused, UsageError
from support_tunnel.core.owner_screens import Introduction
from support_tunnel.core.ports import Clock, Question
from support_tunnel.core.secret import Secret

__all__ = ["LOOK", "TerminalPrompt", "open_terminal", "printable", "refusal"]

# Cc: escape sequences; Cf: right-to-left overrides and invisible letters; Zl, Zp: line breaks that are no "\n".
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
SHOWN_AS = "\N{REPLACEMENT CHARACTER}"
LOOK = 1.0
"""Seconds between two looks at whether the request was stopped while a person thinks."""
GO_ON = "\n  go on (an empty line ends it): "


def printable(text: str) -> str:
    """Return `text` with every character that acts instead of being seen replaced, so that it can be seen."""
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) not in UNSEEN else SHOWN_AS for letter in text
    )


def open_terminal() -> int:
    """Open the terminal of this process for reading and writing. Raises UsageError `prompt.terminal`."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        if sys.stdin is not None and sys.stdin.isatty():
            return os.dup(sys.stdin.fileno())
        raise UsageError(
            "prompt.terminal",
            "there is nobody to ask: this process has no terminal",
            next_step="Run it in a terminal, or with a policy that says what is approved.",
        ) from None


class TerminalPrompt:
    """`ports.Prompt` and `ports.SecretPrompt`. `terminal` opens it anew for each question; the descriptor is closed after the answer.

    `wording` is what a text goes through before it is shown.
    """

    def __init__(
        self,
        *,
        terminal: Callable[[], int] = open_terminal,
        clock: Clock | None = None,
        wording: Callable[[str], str] = str,
    ) -> None:
        self._terminal = terminal
        self._wording = wording
        self._clock = clock or SystemClock()

    def show(self, text: str) -> None:
        with self._opened() as terminal:
            _write(terminal, self._wording(text) + "\n")

    def introduce(self, who: Introduction) -> None:
        self.show(owner_screens.asking(who))

    def ask(self, question: str, *, about: Question, timeout: float, stopped: Callable[[], bool]) -> str:
        with self._opened() as terminal:
            termios.tcflush(terminal, termios.TCIFLUSH)  # typed before the question: no answer to it
            _write(terminal, question)
            return self._line(terminal, self._clock.monotonic() + timeout, stopped)

    def ask_secret(self, question: str, *, wants_more: Callable[[str], bool] | None = None) -> Secret[str]:
        with self._opened() as terminal:
            before = termios.tcgetattr(terminal)
            silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
            try:
                # TCSAFLUSH both times: of a paste of several lines, nothing is left for the shell to run afterwards.
                termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
                _write(terminal, question)
                typed = self._line(terminal, None)
                while wants_more is not None and wants_more(typed):
                    _write(terminal, GO_ON)
                    if not (line := self._line(terminal, None)).strip():
                        break
                    typed += "\n" + line
                return Secret(typed)
            finally:
                termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
                _write(terminal, "\n")

    def _line(self, terminal: int, deadline: float | None, stopped: Callable[[], bool] = lambda: False) -> str:
        typed = b""
        while not typed.endswith(b"\n"):
            left = LOOK if deadline is None else min(LOOK, deadline - self._clock.monotonic())
            if not select.select([terminal], [], [], max(0.0, left))[0]:
                if over := refusal(stopped, left <= 0):
                    _write(terminal, "\n")
                    raise over
                continue
            try:
                got = os.read(terminal, 4096)
            except OSError:  # EIO: the terminal's window was closed
                got = b""
            if not got:
                raise UsageError("prompt.terminal", "the terminal was closed before there was an answer")
            typed += got
        return typed.decode(errors="replace").rstrip("\r\n")

    @contextmanager
    def _opened(self) -> Iterator[int]:
        terminal = self._terminal()
        try:
            yield terminal
        finally:
            os.close(terminal)


def refusal(stopped: Callable[[], bool], late: bool) -> ConsentRefused | None:
    """Why an owner's answer is not waited for any longer; None: it is."""
    if stopped():
        return stopped_meanwhile()
    if late:
        return ConsentRefused("consent.timeout", "nobody answered in time", next_step="Make a new request.")
    return None


def _write(terminal: int, text: str) -> None:
    left = printable(text).encode(errors="replace")
    while left:
        left = left[os.write(terminal, left) :]
