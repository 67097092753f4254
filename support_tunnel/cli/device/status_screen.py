"""The owner's screen for whatever goes on with one tunnel: who, what, until when, how to stop."""

from __future__ import annotations

from support_tunnel.core.owner_screens import active, answered, undecided, waiting
from support_tunnel.flows.device.status import TunnelStatus

__all__ = ["status_screen"]


def status_screen(row: TunnelStatus) -> str:
    """Text for stderr; what nobody watches has no such screen, and says what to do about it."""
    if row.scope is None or row.until is None or row.state == "orphaned":
        return f"Nobody watches {row.tunnel[:8]} any more. End it: inv gc\n"
    if row.state == "requested":
        return waiting(row.scope, ttl=row.ttl, until=row.until, approved=row.approved)
    if row.state == "answered":
        say_yes = "inv connect-approved-tunnels" if row.approved else f"inv approve {row.tunnel[:8]}"
        return answered(row.scope, ttl=row.ttl, until=row.until, say_yes=say_yes)
    if row.state == "asking":
        return undecided(row.admin, row.scope, ttl=row.ttl, helpers=row.helpers)
    return active(row.admin, row.scope, until=row.until, helpers=row.helpers)
