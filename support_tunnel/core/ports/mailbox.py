"""The API seen from a client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

__all__ = ["LONGEST_LIFE", "LONGEST_POLL", "Blob", "Mailbox", "Slot", "TunnelRow"]

LONGEST_POLL: Final = 25.0
"""Seconds for which the API holds one look into a mailbox: below the 30 s at which common proxies cut an idle answer."""
LONGEST_LIFE: Final = 24 * 3600
"""Seconds for which the API can be asked to keep a tunnel, from the request to the end of the session (2.5)."""

Slot = Literal["answer", "confirm", "ready", "control-admin", "control-device"]


@dataclass(frozen=True, slots=True)
class Blob:
    """One sealed message as the API relays it. `number` rises strictly within a tunnel and is what `after` counts."""

    number: int
    slot: Slot | Literal["offer"]
    data: bytes


@dataclass(frozen=True, slots=True)
class TunnelRow:
    """Metadata of a tunnel: all that an admin token without a code may see."""

    tunnel: TunnelId
    state: Literal["open", "closed"]
    slots: tuple[str, ...]
    created: datetime
    expires: datetime
    answered_by: str | None


class Mailbox(Protocol):
    """Relays sealed bytes for tunnels; may delay, drop or delete, and is trusted with nothing else (2.1).

    Raises HostError `api.unreachable`, WrongState `tunnel.unknown` / `tunnel.closed` / `answer.late` / `api.slot`,
    UsageError `api.token`. Retries only what is safe to repeat.
    """

    def open(self, tunnel: TunnelId, offer: bytes, *, claim: Secret[bytes], ttl: int) -> None:
        """Device: put the offer. Idempotent for the same bytes; WrongState `tunnel.exists` for others."""
        ...

    def post(self, tunnel: TunnelId, slot: Slot, data: bytes) -> None:
        """Append one message. Posting identical bytes to the same slot again is fine."""
        ...

    def messages(self, tunnel: TunnelId, *, after: int, wait: float) -> Sequence[Blob]:
        """Messages numbered above `after`; when there are none, wait up to `wait` seconds for one."""
        ...

    def close(self, tunnel: TunnelId) -> None:
        """Mark the tunnel closed; closing twice is fine."""
        ...

    def tunnels(self) -> Sequence[TunnelRow]:
        """Admin with the `list` right: open tunnels of the organisation."""
        ...
