"""A clock that a test moves, so that hours pass at once and nothing depends on the machine's load."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["ManualClock"]

START = datetime(2030, 1, 1, tzinfo=UTC)


class ManualClock:
    """`ports.Clock`: time passes only by `advance`, `suspend` and `pause`, which returns at once.

    `on_pause` is called at each pause, before time passes: there a test lets the other side act while ours waits.
    """

    def __init__(self, start: datetime = START, *, on_pause: Callable[[], None] | None = None) -> None:
        self._start = start
        self._passed = 0.0
        self._suspended = 0.0
        self.on_pause = on_pause

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.boottime())

    def monotonic(self) -> float:
        return self._passed

    def boottime(self) -> float:
        return self._passed + self._suspended

    def pause(self, seconds: float) -> None:
        if self.on_pause is not None:
            self.on_pause()
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass; never backwards."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._passed += seconds

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: wall clock and boot time go on, the monotonic clock stands still."""
        self._suspended += seconds
