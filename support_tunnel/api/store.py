"""What the post office needs of a store, so that another database can take SQLite's place.

A store keeps rows and decides races (one answer wins) atomically; it knows nothing of tokens in clear, HTTP or rights.
Times are aware UTC.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from support_tunnel.core.names import TunnelId

__all__ = [
    "CONTROL_KEPT",
    "AdminToken",
    "Counts",
    "Ended",
    "Message",
    "Outcome",
    "Put",
    "Receipt",
    "Store",
    "StoreFull",
    "StoreUnavailable",
    "Summary",
    "TokenStore",
    "Tunnel",
]

CONTROL_KEPT = 16
"""Of each direction's control messages the latest so many stay: heartbeats do not fill the mailbox (2.17)."""


class StoreUnavailable(Exception):
    """The store cannot answer now (locked, unreadable); nothing was changed."""


class StoreFull(StoreUnavailable):
    """No room for another row; reads still work."""


class Outcome(Enum):
    STORED = "stored"
    SAME = "same"
    """Identical bytes were there already: a repeat, nothing changed."""
    TAKEN = "taken"
    CLOSED = "closed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Put:
    """A tunnel as its device registers it."""

    tunnel: TunnelId
    offer: bytes
    device_sha256: bytes
    claim_sha256: bytes
    ttl: int


@dataclass(frozen=True, slots=True)
class Tunnel:
    tunnel: TunnelId
    device_sha256: bytes
    claim_sha256: bytes
    created: datetime
    expires: datetime
    closed: datetime | None


@dataclass(frozen=True, slots=True)
class Message:
    number: int
    slot: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a post; `by` and `at` name who holds the slot when it was taken."""

    outcome: Outcome
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Metadata of an open tunnel."""

    tunnel: TunnelId
    slots: tuple[str, ...]
    created: datetime
    expires: datetime
    answered_by: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What is kept of a tunnel whose time is over: metadata, no message, no hash of a token."""

    tunnel: TunnelId
    slots: tuple[str, ...]
    created: datetime
    ended: datetime
    answered_by: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Tunnels whose time is not over."""

    open: int
    closed: int


@dataclass(frozen=True, slots=True)
class AdminToken:
    """A row about a token, never the token."""

    name: str
    rights: frozenset[str]
    created: datetime
    last_used: datetime | None
    revoked: datetime | None


class TokenStore(Protocol):
    def add_token(self, name: str, sha256: bytes, rights: frozenset[str], now: datetime) -> bool:
        """Add; False when a live token has that name."""
        ...

    def revoke_token(self, name: str, now: datetime) -> bool:
        """Revoke; False when no live token has that name."""
        ...

    def tokens(self) -> Sequence[AdminToken]: ...

    def live_token(self, sha256: bytes) -> AdminToken | None: ...

    def note_use(self, name: str, now: datetime) -> None: ...


class Store(TokenStore, Protocol):
    """Raises StoreFull or StoreUnavailable, nothing else of the database's."""

    def put(self, row: Put, now: datetime) -> Outcome:
        """STORED, SAME, or TAKEN when the id holds something else."""
        ...

    def tunnel(self, tunnel: TunnelId, now: datetime) -> Tunnel | None:
        """The row while it has not expired."""
        ...

    def append(self, tunnel: TunnelId, slot: str, data: bytes, *, by: str, now: datetime) -> Receipt: ...

    def messages(self, tunnel: TunnelId, after: int) -> Sequence[Message]: ...

    def close_tunnel(self, tunnel: TunnelId, now: datetime) -> None: ...

    def open_tunnels(self, now: datetime) -> Sequence[Summary]: ...

    def count(self, now: datetime) -> Counts: ...

    def history(self) -> Sequence[Ended]:
        """What ended, oldest first."""
        ...

    def purge(self, now: datetime, *, history: timedelta) -> int:
        """Delete what has expired, and what is known of tunnels that ended that long ago; return how many expired."""
        ...

    def check(self) -> None:
        """Raise StoreUnavailable unless the store can be read."""
        ...

    def changes(self) -> AsyncGenerator[TunnelId | None, None]:
        """Tunnels as other processes change them; None when changes may have been missed, so all are to be looked at.

        Ends by itself where no other process can serve the same store.
        """
        ...

    def disconnect(self) -> None: ...
