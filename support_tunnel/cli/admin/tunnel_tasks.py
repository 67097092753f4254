"""`fab tunnel.create`, `list`, `status`, `close`: a support tunnel by its ticket, its helpers and its end."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.context import Context

from support_tunnel.cli.admin.answering import Asked, answer
from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line, table

if TYPE_CHECKING:
    from support_tunnel.core.report import Report
    from support_tunnel.flows.admin.tunnels import Tunnel

__all__ = ["namespace", "show_report"]

_JSON = "one line of JSON a result, for programs"
_ID = "tunnel id, or the first digits of it"


@verb(asked=Asked)
def create(c: Context, asked: Asked) -> None:
    """Answer an owner's code on the standing Headscale server, and connect.

    Where there is none, a server is launched. Nobody is let in before the owner has said yes.
    """
    answer(asked)


@verb(flags={"json": _JSON}, name="list")
def list_(c: Context, json: bool = False) -> None:
    """Show your tunnels, and others' on the standing Headscale server."""
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.tunnels import tunnels

    found = tunnels(admin_ports(load_admin_settings(os.environ)))
    if json:
        emit([_row(row) for row in found.rows])
    elif found.rows:
        head = ("tunnel", "ticket", "state", "whose", "server", "until")
        table(
            head,
            [
                (row.id[:8], row.ticket or "-", row.state, "yours" if row.mine else "-", row.server, _local(row.until))
                for row in found.rows
            ],
        )
    elif found.unseen is None:
        line("no tunnels")
    if found.unseen:
        raise found.unseen


@verb(positional=("tunnel_id",), flags={"tunnel-id": _ID, "json": _JSON})
def status(c: Context, tunnel_id: str, json: bool = False) -> None:
    """Show one tunnel: who may come in, what has joined, until when; and how it ended."""
    from support_tunnel.adapters.terminal import printable
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.tunnels import one

    found = one(admin_ports(load_admin_settings(os.environ)), tunnel_id)
    if json:
        emit(_row(found) | ({"report": found.report.to_dict()} if found.report else {}))
        return
    for name, value in _row(found).items():
        if value not in (None, "", []):
            shown = ", ".join(value) if isinstance(value, list) else value
            words = _local(shown) if isinstance(shown, datetime) else str(shown)
            line(f"{name.replace('_', ' ')}: {printable(words)}")
    if found.report:
        show_report(found.report)


@verb(positional=("tunnel_id",), flags={"tunnel-id": _ID, "json": _JSON})
def close(c: Context, tunnel_id: str, json: bool = False) -> None:
    """End a tunnel, and show what was done, step by step.

    Yours, or any on the standing server.
    """
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.tunnels import close as flow

    ports = admin_ports(load_admin_settings(os.environ))
    try:
        ended = flow(ports, tunnel_id)
    finally:
        ports.progress.end()
    if json:
        emit(ended.report.to_dict())
    else:
        line(f"{'closed' if ended.report.complete else 'NOT WHOLLY CLOSED'}: {ended.report.tunnel[:8]}")
        show_report(ended.report)
    if ended.trouble is not None:
        sys.stderr.write("What is left ends with `fab sweep`.\n")
        raise ended.trouble


def show_report(report: Report) -> None:
    from support_tunnel.adapters.terminal import printable

    for step in report.steps:
        line(f"  {printable(str(step))}")


def _row(row: Tunnel) -> dict[str, object]:
    return {
        "tunnel_id": row.id,
        "ticket": row.ticket,
        "state": row.state,
        "mine": row.mine,
        "server": row.server,
        "device": row.device,
        "until": row.until,
        "helpers": list(row.helpers),
        "nodes": list(row.nodes),
    }


def _local(when: datetime) -> str:
    return when.astimezone().strftime("%Y-%m-%d %H:%M")


def namespace() -> Collection:
    return Collection(create, list_, status, close)
