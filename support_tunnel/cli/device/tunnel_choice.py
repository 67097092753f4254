"""A tunnel as an owner names it: by its id, by the digits that everything on the device carries, or not at all where there is only one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId

__all__ = ["chosen", "the_one"]


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


def the_one(given: str, known: Sequence[TunnelId], waiting: Sequence[TunnelId]) -> TunnelId:
    """The tunnel that is named; of none named, the only request that waits.

    Raises what `chosen` raises, WrongState `request.none` and `request.several`.
    """
    if given:
        return chosen(given, known)[0]
    if not waiting:
        raise WrongState(
            "request.none", "no request is waiting on this device", next_step="Ask for support with `inv request`."
        )
    if len(waiting) > 1:
        ids = ", ".join(one[:8] for one in waiting)
        raise WrongState(
            "request.several", f"more than one request is waiting: {ids}", next_step="Name one behind the verb."
        )
    return waiting[0]
