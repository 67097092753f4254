"""Nothing sleeps, things are waited for: with a deadline, a growing pause, and the last reason in the error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Clock

__all__ = ["wait_for"]

T = TypeVar("T")


def wait_for(
    attempt: Callable[[], T | None],
    *,
    what: str,
    seconds: float,
    clock: Clock,
    first_pause: float = 0.02,
    longest_pause: float = 0.5,
) -> T:
    """Call `attempt` until it returns something, or raise HostError `wait.timeout` after `seconds`.

    `attempt` must be a read: repeating it may not change anything. An exception it raises ends the wait.
    """
    deadline = clock.monotonic() + seconds
    pause = first_pause
    while True:
        found = attempt()
        if found is not None:
            return found
        if clock.monotonic() >= deadline:
            raise HostError("wait.timeout", f"{what}: not within {seconds:g} seconds")
        clock.pause(min(pause, max(0.0, deadline - clock.monotonic())))
        pause = min(pause * 1.5, longest_pause)
