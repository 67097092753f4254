"""Verbs that only look: the lists of the first support-tunnel, under their old names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line

if TYPE_CHECKING:
    from support_tunnel.flows.device.history import TunnelHistory

__all__ = ["detail_all_tunnels", "list_all_tunnels", "list_running_tunnels"]

_JSON = "one line of JSON, for programs"


@verb(flags={"json": _JSON})
def list_all_tunnels(c: Context, json: bool = False) -> None:
    """Name every tunnel of this device, ended ones too.

    Oldest first, an id a line.
    """
    rows = _history()
    if json:
        emit([_short_row(row) for row in rows])
    for row in () if json else rows:
        line(row.tunnel)


@verb(flags={"json": _JSON})
def list_running_tunnels(c: Context, json: bool = False) -> None:
    """Name the tunnels that have not ended, with states.

    The states: pending, started, running, connected, orphaned.
    """
    rows = [row for row in _history() if row.live]
    if json:
        emit([_short_row(row) for row in rows])
    for row in () if json else rows:
        line(f"{row.tunnel} {row.state}")


@verb()
def detail_all_tunnels(c: Context) -> None:
    """Tell all that is known of every tunnel, as JSON.

    Who, what, when, why it ended, and whether the log holds. No secrets.
    """
    emit([_detail(row) for row in _history()])


def _history() -> list[TunnelHistory]:
    from support_tunnel.cli.device.wiring import ending_ports
    from support_tunnel.flows.device.history import history

    return history(ending_ports())


def _short_row(row: TunnelHistory) -> dict[str, object]:
    return {"tunnel_id": row.tunnel, "state": row.state, "number": int(row.number)}


def _detail(row: TunnelHistory) -> dict[str, object]:
    asked, agreed, opened, ended = (row.said(event) for event in ("requested", "consented", "opened", "ended"))
    return {
        **_short_row(row),
        "requested": row.when("requested"),
        "scope": agreed.get("scope", asked.get("scope")),
        "ttl": asked.get("ttl"),
        "admin": agreed.get("admin"),
        "fingerprint": agreed.get("fingerprint"),
        "helpers": agreed.get("helpers"),
        "consent": agreed.get("how"),
        "opened": row.when("opened"),
        "logins": [{"noted": entry.when, **entry.data} for entry in row.events if entry.event == "logged-in"],
        "user": opened.get("user"),
        "until": row.until,
        "ended": row.when("ended"),
        "reason": ended.get("reason"),
        "hooks": [dict(entry.data) for entry in row.events if entry.event == "hook"],
        "log": {"lines": len(row.events), "holds": not row.log_broken, "problem": row.log_broken or None},
    }
