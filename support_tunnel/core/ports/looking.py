"""What a doctor looks at besides hosts: the API from outside, and whether this machine may send at all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

__all__ = ["ApiLook", "ApiSeen"]


@dataclass(frozen=True, slots=True)
class ApiSeen:
    """`theirs`: the API's clock as its answer gives it; `ours`: this machine's, in the middle of asking."""

    theirs: datetime | None
    ours: datetime


class ApiLook(Protocol):
    def see(self) -> ApiSeen:
        """Ask how it is, without a token. Raises HostError `api.*`, UsageError `api.url`."""
        ...

    def send_udp(self) -> None:
        """Send one empty datagram its way. Raises HostError `udp.blocked` when this machine does not let it out."""
        ...
