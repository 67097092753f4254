"""Wakes the readers that wait for a tunnel: one event a reader, rung when something of that tunnel changed.

In memory of one process, one event loop; a reader looks at the store after it has begun to listen, so no ring is lost. What
other processes change comes from the store (`Store.changes`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Bells"]


class Bells:
    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self.ended = False
        """True once the server goes down: nobody may wait any more."""

    @contextmanager
    def listen(self, tunnel: str) -> Iterator[asyncio.Event]:
        bell = asyncio.Event()
        listeners = self._listeners.setdefault(tunnel, set())
        listeners.add(bell)
        try:
            yield bell
        finally:
            listeners.discard(bell)
            if not listeners and self._listeners.get(tunnel) is listeners:
                del self._listeners[tunnel]

    def ring(self, tunnel: str) -> None:
        for bell in self._listeners.get(tunnel, ()):
            bell.set()

    def ring_all(self) -> None:
        """For when it is not known what changed."""
        for tunnel in self._listeners:
            self.ring(tunnel)

    def end(self) -> None:
        """Send everybody home, so that stopping does not wait for the longest poll."""
        self.ended = True
        self.ring_all()
