"""A program in a real terminal of its own: what a person sees there, what they type, when they give up."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.processes import environment

PATIENCE = 90.0
"""Seconds; generous, because two cores may be busy with other tests."""


class Window:
    def __init__(self, keyboard: int, program: subprocess.Popen[bytes]) -> None:
        self._keyboard = keyboard
        self._program = program
        self._clock = SystemClock()
        self._read_to = 0
        self.screen = ""
        """Everything that was ever shown."""

    def sees(self, text: str) -> str:
        """Wait for `text` after what was seen before; return what was shown until then."""
        deadline = self._clock.monotonic() + PATIENCE
        while (found := self.screen.find(text, self._read_to)) < 0:
            assert self._more(deadline), f"the program ended before it showed {text!r}; its screen:\n{self.screen}"
        shown = self.screen[self._read_to : found + len(text)]
        self._read_to = found + len(text)
        return shown

    def types(self, text: str) -> None:
        os.write(self._keyboard, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self) -> int:
        """Watch until the program has ended; return its exit status."""
        deadline = self._clock.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        return self._program.wait(timeout=PATIENCE)

    def _more(self, deadline: float) -> bool:
        """Read on; False once nobody has the terminal open any more."""
        ready, _, _ = select.select([self._keyboard], [], [], max(0.0, deadline - self._clock.monotonic()))
        assert ready, f"nothing more was shown in time; the screen:\n{self.screen}"
        try:
            data = os.read(self._keyboard, 65536)
        except OSError:  # EIO: the last program on it has ended
            return False
        self.screen += data.decode(errors="replace")
        return bool(data)


@contextmanager
def window(argv: Sequence[str], *, rows: int = 24, columns: int = 80) -> Iterator[Window]:
    """Start a program in a new terminal, which closes at the end of the `with`, as when a person closes a window."""
    keyboard, terminal = os.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", *argv],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment({"TERM": "xterm"}),
    ) as program:
        os.close(terminal)
        made = Window(keyboard, program)
        try:
            made.resize(rows, columns)
            yield made
        finally:
            os.close(keyboard)  # SIGHUP for the program
            program.kill()
