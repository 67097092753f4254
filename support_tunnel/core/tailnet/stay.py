"""One tunnel's stay on a standing Headscale server: whose it is and until when, as the name of a user that owns nothing.

It is made before anything else of the tunnel is there and goes when everything else is gone. So whoever has the server's API key and
nothing more can end the tunnel, also when the tool that began it is dead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import SHORT
from support_tunnel.core.tailnet.labels import WORDS, is_label

__all__ = ["Stay", "read_stay"]

_NONCE: Final = re.compile(r"[0-9a-f]{8}")
_NAME: Final = re.compile(
    rf"st-(?P<device>{SHORT.pattern})-(?P<ticket>{WORDS})-(?P<nonce>{_NONCE.pattern})-(?P<end>[1-9][0-9]{{9}})"
)
"""The end has ten digits: from 2001 to 2286."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Raises UsageError `tailnet.name`, `tailnet.device`, `tailnet.nonce`, `tailnet.end` for one that no user could be named after."""

    device: str
    """First 8 hex digits of the tunnel's id."""
    ticket: str
    """A label (`labels.label`)."""
    nonce: str
    """8 hex digits that whoever began it drew: a second admin's with the same code has others."""
    end: int
    """Seconds since 1970, by the server's clock."""

    def __post_init__(self) -> None:
        if not is_label(self.ticket):
            raise UsageError("tailnet.name", "a ticket is not named by a label")
        if not SHORT.fullmatch(self.device):
            raise UsageError("tailnet.device", "a device is named by the first 8 hex digits of the tunnel's id")
        if not _NONCE.fullmatch(self.nonce):
            raise UsageError("tailnet.nonce", "a tunnel's record has 8 hex digits of its tool's own")
        if not 1_000_000_000 <= self.end <= 9_999_999_999:
            raise UsageError(
                "tailnet.end",
                "the end of a tunnel is no time that its record can hold",
                next_step="Set the Headscale server's clock.",
            )

    @property
    def user(self) -> str:
        return f"st-{self.device}-{self.ticket}-{self.nonce}-{self.end}"

    @property
    def until(self) -> datetime:
        return datetime.fromtimestamp(self.end, UTC)


def read_stay(user: str) -> Stay | None:
    """Read a user's name; None for anybody else's."""
    found = _NAME.fullmatch(user)
    if found is None or not is_label(found["ticket"]):
        return None
    return Stay(found["device"], found["ticket"], found["nonce"], int(found["end"]))
