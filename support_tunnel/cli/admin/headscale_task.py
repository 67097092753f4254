"""`fab headscale-status`: how the standing server is; exit status 1 when something is wrong with it."""

from __future__ import annotations

import os

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line

__all__ = ["headscale_status"]


@verb(flags={"json": "one line of JSON a result, for programs"})
def headscale_status(c: Context, json: bool = False) -> None:
    """Show how the standing Headscale server is.

    Version, clock, certificate, tunnels, and what is left of dead ones.
    """
    from support_tunnel.adapters.terminal import printable
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.headscale_status import headscale_status as flow

    found = flow(admin_ports(load_admin_settings(os.environ)))
    if json:
        emit(
            {
                "server": found.url,
                "version": found.version,
                "clock_ahead_seconds": round(found.ahead.total_seconds(), 1),
                "certificate_ends": found.certificate,
                "nodes": found.nodes,
                "online": found.online,
                "tunnels": [
                    {"tunnel_id": stay.device, "ticket": stay.ticket, "until": stay.until} for stay in found.tunnels
                ],
                "leftovers": list(found.leftovers),
                "problems": list(found.problems),
            }
        )
    else:
        line(f"{found.url}: Headscale {found.version}, {found.nodes} nodes, {found.online} of them online")
        line(f"clock: {found.ahead.total_seconds():+.0f} s from ours")
        ends = f"{found.certificate:%Y-%m-%d %H:%M} UTC" if found.certificate else "not to be seen from here"
        line(f"certificate until: {ends}")
        for stay in found.tunnels:
            line(f"tunnel {stay.device}, ticket {printable(stay.ticket)}, until {stay.until:%Y-%m-%d %H:%M} UTC")
        for left in found.leftovers:
            line(f"left: {printable(left)}")
        for problem in found.problems:
            line(f"PROBLEM: {printable(problem)}")
        if not found.problems:
            line("all is well")
    if found.problems:
        raise SystemExit(1)
