"""Which tunnels there are: this admin's own from the ledger, the organisation's waiting ones from the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["Row", "find", "listing"]


@dataclass(frozen=True, slots=True)
class Row:
    """`state` is a ledger stage for one's own tunnels, else `waiting` or `answered`."""

    tunnel: TunnelId
    state: str
    mine: bool
    expires: datetime
    device: str = ""
    server: str = ""
    answered_by: str = ""


def listing(ports: AdminPorts) -> list[Row]:
    """Own tunnels first, then the API's open ones. The API being away is an error, never an empty list."""
    rows = [
        Row(entry.tunnel, entry.stage, True, entry.expires, entry.device_name, entry.server_address)
        for entry in ports.ledger.entries()
    ]
    mine = {row.tunnel for row in rows}
    for row in ports.mailbox_for(None).tunnels():
        if row.tunnel not in mine and row.state == "open":
            state = "answered" if row.answered_by else "waiting"
            rows.append(Row(row.tunnel, state, False, row.expires, answered_by=row.answered_by or ""))
    return rows


def find(ports: AdminPorts, text: str) -> TunnelId:
    """The tunnel of this admin whose id begins with `text` (4 or more digits). Raises UsageError, WrongState."""
    wanted = text.strip().lower()
    if len(wanted) < 4 or not set(wanted) <= set("0123456789abcdef"):
        raise UsageError(
            "tunnel.id", "a tunnel is named by its id or the first digits of it", next_step="See `fab list`."
        )
    found = {entry.tunnel for entry in ports.ledger.entries() if entry.tunnel.startswith(wanted)}
    if not found:
        raise WrongState("tunnel.unknown", f"you have no tunnel {wanted}", next_step="See `fab list`.")
    if len(found) > 1:
        raise UsageError("tunnel.ambiguous", f"{wanted} names {len(found)} tunnels", next_step="Give more digits.")
    return found.pop()
