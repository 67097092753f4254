"""A tunnel as an owner names it: by its id, or by the digits that everything on the device carries."""

from __future__ import annotations

import re
from collections.abc import Sequence

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId

__all__ = ["chosen"]


def chosen(given: str, known: Sequence[TunnelId]) -> list[TunnelId]:
    """Raises UsageError `tunnel.id`, WrongState `tunnel.unknown`. The first 8 digits decide: every name is made of them."""
    wanted = given.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{8,32}", wanted):
        raise UsageError("tunnel.id", "a tunnel is named by its id of 32 hex digits, or the first 8 or more of it")
    found = [one for one in known if one.startswith(wanted[:8])]
    if not found:
        raise WrongState(
            "tunnel.unknown",
            f"there is no request or session {wanted[:8]} on this device",
            next_step="See what there is with `inv status`.",
        )
    return found
