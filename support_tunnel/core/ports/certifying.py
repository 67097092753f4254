"""Whoever certifies the login of one session, where a device takes no key itself (2.9)."""

from __future__ import annotations

from typing import Protocol

from support_tunnel.core.names import TunnelId
from support_tunnel.core.session_wish import SessionWish

__all__ = ["Certifier"]


class Certifier(Protocol):
    """An organisation's CA as the inventory says how to ask it."""

    def certify(self, tunnel: TunnelId, wish: SessionWish) -> str:
        """Return what it gave, unjudged. Raises HostError `certificate.refused`."""
        ...
