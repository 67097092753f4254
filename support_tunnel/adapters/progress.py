"""The step list on stderr: live with timings where a terminal and rich are there, plain lines otherwise.

Devices do not have rich (it is in the admin's extra only). Must not write to stdout: results belong there. A flow that
asks something ends its step first, so that no spinner paints over the question.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TextIO

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.terminal import printable
from support_tunnel.core.ports import Clock, Progress

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["LiveProgress", "PlainProgress", "Recorder", "Step", "progress_for"]


def progress_for(stream: TextIO | None = None, *, clock: Clock | None = None) -> Progress:
    """Return the step list that suits `stream` (stderr if none is given)."""
    stream = stream or sys.stderr
    clock = clock or SystemClock()
    if stream.isatty():
        try:
            return LiveProgress(stream, clock)
        except ImportError:
            pass  # a device: rich is not part of what is installed there
    return PlainProgress(stream, clock)


class _Timed:
    """Which step runs, and since when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._text = ""
        self._started = 0.0

    def begin(self, text: str) -> None:
        self._text, self._started = text, self._clock.monotonic()

    def finish(self) -> tuple[str, float] | None:
        """Return the step that ends now and its seconds; None when none was running."""
        if not self._text:
            return None
        done = (self._text, self._clock.monotonic() - self._started)
        self._text = ""
        return done


class PlainProgress:
    """`ports.Progress`: one line when a step begins, one when it has ended."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        self._stream = stream
        self._running = _Timed(clock)

    def step(self, text: str) -> None:
        self.end()
        self._running.begin(text)
        self._write(f"... {text}")

    def note(self, text: str) -> None:
        self._write(f"    {text}")

    def end(self) -> None:
        if done := self._running.finish():
            self._write(f" ok {done[0]} ({done[1]:.1f} s)")

    def _write(self, line: str) -> None:
        print(printable(line), file=self._stream, flush=True)


class LiveProgress:
    """`ports.Progress`: a spinner on the running step, a tick and the seconds on those that ended. Needs rich."""

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        from rich.console import Console

        # No markup and no highlighting: what is shown may hold brackets, and is not ours to colour.
        self._new_console = partial(Console, file=stream, markup=False, highlight=False, emoji=False)
        self._console = self._new_console()
        self._running = _Timed(clock)
        self._live: Live | None = None

    def step(self, text: str) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        self.end()
        self._running.begin(text)
        self._live = Live(
            Spinner("dots", text=printable(text), style="status.spinner"),
            console=self._console,
            refresh_per_second=12.5,
            transient=True,
            # On a terminal of its own a result goes around the spinner; in a pipe it is for the program at its other end.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start()

    def note(self, text: str) -> None:
        self._console.print(f"  {printable(text)}")

    def end(self) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            try:
                live.stop()
            except BaseException as error:
                # Broken off in the midst of its start, by Ctrl-C, or of this: rich takes back what it has not set, or not all of it.
                self._console = self._new_console()
                self._console.show_cursor(True)
                if not isinstance(error, IndexError):
                    raise
        if done := self._running.finish():
            self._console.print(f"✓ {printable(done[0])} ({done[1]:.1f} s)")


@dataclass(frozen=True, slots=True)
class Step:
    """One step that ended; what `--json` tells."""

    name: str
    seconds: float


class Recorder:
    """`ports.Progress` that also keeps the steps, for a JSON result."""

    def __init__(self, shown: Progress, *, clock: Clock | None = None) -> None:
        self._shown = shown
        self._running = _Timed(clock or SystemClock())
        self.steps: list[Step] = []

    def step(self, text: str) -> None:
        self._keep()
        self._running.begin(text)
        self._shown.step(text)

    def note(self, text: str) -> None:
        self._shown.note(text)

    def end(self) -> None:
        self._keep()
        self._shown.end()

    def _keep(self) -> None:
        if done := self._running.finish():
            self.steps.append(Step(*done))
