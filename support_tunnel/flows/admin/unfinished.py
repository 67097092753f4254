"""What an admin's tool left half done: said at the start of the next one, so that no killed tool is forgotten (2.16).

It only looks. `resume` goes on with what was answered, `sweep` removes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from support_tunnel.core.errors import SupportTunnelError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["unfinished"]


def unfinished(ports: AdminPorts) -> Iterator[str]:
    """A line for each tunnel that nobody works on and that never connected, with what can be done about it."""
    try:
        entries = ports.ledger.entries()
    except SupportTunnelError as damaged:
        # Whoever is asked for help now is not kept from helping by an older tunnel's file.
        yield f"What is unfinished cannot be seen: {damaged.message}. {damaged.next_step}"
        return
    for entry in entries:
        if entry.stage == "connected" or _is_worked_on(ports, entry.tunnel):
            continue
        short = entry.tunnel[:8]
        way = (
            f"`fab resume {short}` goes on, `fab sweep` removes it" if entry.stage == "answered" else "run `fab sweep`"
        )
        yield f"Unfinished: {short} ({entry.stage} since {entry.created:%Y-%m-%d %H:%M} UTC); {way}."


def _is_worked_on(ports: AdminPorts, tunnel: TunnelId) -> bool:
    try:
        with ports.vault.hold(tunnel):
            return False
    except WrongState:
        return True
