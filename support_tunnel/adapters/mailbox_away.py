"""A mailbox that is never there: for ending sessions on a device whose settings no longer name an API."""

from __future__ import annotations

from collections.abc import Sequence

from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob, Slot, TunnelRow
from support_tunnel.core.secret import Secret

__all__ = ["AwayMailbox"]


class AwayMailbox:
    """`ports.Mailbox`; every call raises HostError `api.unreachable` with `why`."""

    def __init__(self, why: str) -> None:
        self._why = why

    def open(self, tunnel: TunnelId, offer: bytes, *, claim: Secret[bytes], ttl: int) -> None:
        raise self._away()

    def post(self, tunnel: TunnelId, slot: Slot, data: bytes) -> None:
        raise self._away()

    def messages(self, tunnel: TunnelId, *, after: int, wait: float) -> Sequence[Blob]:
        raise self._away()

    def close(self, tunnel: TunnelId) -> None:
        raise self._away()

    def tunnels(self) -> Sequence[TunnelRow]:
        raise self._away()

    def _away(self) -> HostError:
        return HostError("api.unreachable", self._why)
