"""What the device keeps for good: the log of its sessions and whom it has met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from support_tunnel.core.names import TunnelId

if TYPE_CHECKING:
    from support_tunnel.core.audit import Entry

__all__ = ["Acquaintances", "Journal", "LoggedSession", "Met"]


@dataclass(frozen=True, slots=True)
class LoggedSession:
    """What the log of one session says. `broken` is the code of what does not hold (`log.chain`); empty when all does."""

    short: str
    tunnel: TunnelId | None
    """As its first line says; None when that cannot be read."""
    entries: tuple[Entry, ...]
    broken: str


class Journal(Protocol):
    """The session's audit log on the device: a hash chain (2.14), one file a tunnel, outside the session's reach."""

    def append(self, tunnel: TunnelId, event: str, data: Mapping[str, str | int]) -> str:
        """Write one line through to disk and return the new head (64 hex digits)."""
        ...

    def head(self, tunnel: TunnelId) -> str:
        """Head of the chain, 64 hex digits."""
        ...

    def sessions(self) -> Sequence[LoggedSession]:
        """Every session that was ever logged here and whose file is still there, read back and checked."""
        ...


@dataclass(frozen=True, slots=True)
class Met:
    """How often an admin's key was let in before, and when last; `times` 0 means never."""

    times: int
    last: datetime | None


class Acquaintances(Protocol):
    """Admins this device has met, by fingerprint: what the prompt says about them (2.8)."""

    def met(self, fingerprint: str) -> Met: ...

    def remember(self, fingerprint: str, name: str, when: datetime) -> None: ...
