"""Time, as an argument."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never backwards."""
        ...

    def boottime(self) -> float:
        """Like `monotonic`, but it also counts while the machine is suspended (CLOCK_BOOTTIME)."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass between two looks at a condition; never a fixed sleep in the hope that something is done."""
        ...
