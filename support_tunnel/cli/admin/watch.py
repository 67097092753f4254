"""`fab list --watch`: the list when it changes, a bell and the webhook for each request that begins to wait."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from support_tunnel.adapters.webhook_http import Webhook
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.flows.admin.listing import Listing, Row
from support_tunnel.flows.admin.watching import Look

__all__ = ["show_watch"]


def show_watch(
    looks: Iterable[Look], webhook: Webhook | None, show: Callable[[Listing], None], *, as_json: bool
) -> None:
    """Run until the looks end or the person interrupts. Nothing that goes wrong with the webhook ends it."""
    before: list[Row] | None = None
    away = False
    for look in looks:
        if look.found.unseen is None and look.found.rows != before and not (as_json and before is not None):
            show(look.found)
        if look.found.unseen is None:
            before = look.found.rows
        elif not away:
            sys.stderr.write(f"{look.found.unseen.message}; looking on\n")
        away = look.found.unseen is not None
        for row in look.new:
            _announce(row, webhook, as_json=as_json)


def _announce(row: Row, webhook: Webhook | None, *, as_json: bool) -> None:
    event = {"event": "waiting", "tunnel_id": str(row.tunnel), "state": row.state}
    event |= {name: getattr(row, name).isoformat(timespec="seconds") for name in ("created", "expires")}
    if as_json:
        emit(event)
    else:
        line(f"waiting: {row.tunnel[:8]} until {row.expires.astimezone():%H:%M}")
    if sys.stderr.isatty():
        sys.stderr.write("\a")
    if webhook is not None:
        try:
            webhook.tell(event)
        except SupportTunnelError as failed:
            sys.stderr.write(f"{failed.message}\n")
