"""The machine's own clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place wall time enters

    def monotonic(self) -> float:
        return time.monotonic()

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: TID251 - the one pause; core.waiting decides how long
