"""Wait for a tunnel's messages through an API that may be away for a while: a restart must not cost anybody their request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LONGEST_POLL, Blob, Clock, Mailbox, Progress

__all__ = ["Listening"]

_PASSES: Final = ("api.unreachable", "api.unavailable", "api.busy")
_PAUSE: Final = 5.0
"""Seconds between two looks while it is away, each of which is patient by itself."""


@dataclass
class Listening:
    mailbox: Mailbox
    tunnel: TunnelId
    clock: Clock
    progress: Progress
    seen: int = 0
    """Number of the last message that was read."""
    away: HostError | None = None
    """Why the last look saw nothing; None if it did see."""

    def next(self, seconds: float) -> Sequence[Blob]:
        """Messages that were not read yet; none after `seconds`, at most LONGEST_POLL, or while the API is away, which is said once.

        Raises what the mailbox does, but for what passes by itself.
        """
        wait = max(0.0, min(LONGEST_POLL, seconds))
        try:
            blobs = self.mailbox.messages(self.tunnel, after=self.seen, wait=wait)
        except HostError as error:
            if error.code not in _PASSES:
                raise
            if self.away is None:
                self.progress.note(f"{error.message[0].upper()}{error.message[1:]}. This goes on when it does.")
            self.away = error
            self.clock.pause(min(_PAUSE, wait))
            return ()
        if self.away is not None:
            self.progress.note("The API answers again.")
        self.away = None
        if blobs:
            self.seen = blobs[-1].number
        return blobs
