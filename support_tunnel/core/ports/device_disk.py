"""What the device keeps for good: the log of its sessions and whom it has met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from support_tunnel.core.names import TunnelId

__all__ = ["Acquaintances", "Journal", "Met"]


class Journal(Protocol):
    """The session's audit log on the device: a hash chain (2.14), one file a tunnel, outside the session's reach."""

    def append(self, tunnel: TunnelId, event: str, data: Mapping[str, str | int]) -> str:
        """Write one line through to disk and return the new head (64 hex digits)."""
        ...

    def head(self, tunnel: TunnelId) -> str:
        """Head of the chain, 64 hex digits."""
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
