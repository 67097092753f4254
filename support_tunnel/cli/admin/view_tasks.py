"""Verbs of the admin that only look: tunnels, one tunnel, the settings in force. Nothing is changed by any of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line, table

if TYPE_CHECKING:
    from support_tunnel.cli.admin.settings import AdminSettings
    from support_tunnel.flows.admin.listing import Detail, Listing, Row
    from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["get", "list_", "settings"]

_JSON = "one line of JSON a result, for programs"


@verb(
    flags={
        "watch": "go on looking; say when a request begins to wait (bell, and the webhook of the inventory)",
        "json": _JSON,
    },
    name="list",
)
def list_(c: Context, watch: bool = False, json: bool = False) -> None:
    """Show your tunnels, and the organisation's requests that wait for an answer."""
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.listing import listing
    from support_tunnel.flows.admin.unfinished import unfinished

    chosen = load_admin_settings(os.environ)
    ports = admin_ports(chosen)
    show = _emit if json else _show
    if watch:
        _watch(ports, chosen, show, as_json=json)
        return
    found = listing(ports)
    show(found)
    for said in unfinished(ports):
        sys.stderr.write(said + "\n")
    if found.unseen:
        raise found.unseen


@verb(
    aliases=("show",),
    positional=("tunnel_id",),
    flags={"tunnel-id": "its id, or the first digits of it", "json": _JSON},
)
def get(c: Context, tunnel_id: str, json: bool = False) -> None:
    """Show one tunnel: yours, or any open one of the organisation."""
    from support_tunnel.adapters.terminal import printable
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports
    from support_tunnel.flows.admin.listing import detail

    found = detail(admin_ports(load_admin_settings(os.environ)), tunnel_id)
    if json:
        emit(_detail(found))
    else:
        for name, value in _detail(found).items():
            if value not in (None, "", []):
                shown = _local(value) if isinstance(value, datetime) else value
                words = ", ".join(shown) if isinstance(shown, list) else str(shown)
                line(f"{name.replace('_', ' ')}: {printable(words)}")
    if found.unseen:
        raise found.unseen


@verb(flags={"json": _JSON})
def settings(c: Context, json: bool = False) -> None:
    """Show each setting and where its value came from; never a secret."""
    from support_tunnel.cli.admin.settings import load_with_origins
    from support_tunnel.cli.admin.settings_shown import ends_of_life, shown

    rows = shown(*load_with_origins(os.environ))
    if json:
        emit({row.name: {"value": row.value, "from": row.origin} for row in rows})
    else:
        table(("setting", "from", "value"), [(row.name, row.origin, row.text()) for row in rows])
        for row in rows:
            for said in ends_of_life(row.value) if row.name == "clouds" else ():
                line(said)


def _watch(ports: AdminPorts, chosen: AdminSettings, show: Callable[[Listing], None], *, as_json: bool) -> None:
    from support_tunnel.adapters.webhook_http import Webhook
    from support_tunnel.cli.admin.proxy import http_proxy
    from support_tunnel.cli.admin.watch import show_watch
    from support_tunnel.flows.admin.watching import watch

    told = Webhook(chosen.webhook, proxy=http_proxy(chosen)) if chosen.webhook else None
    try:
        show_watch(watch(ports), told, show, as_json=as_json)
    except KeyboardInterrupt:
        return  # the one way in which it ends well


def _emit(found: Listing) -> None:
    emit([_row(row) for row in found.rows])


def _show(found: Listing) -> None:
    if found.rows:
        table(
            ("tunnel", "state", "whose", "device", "until"),
            [
                (
                    row.tunnel[:8],
                    row.state,
                    "yours" if row.mine else row.answered_by or "-",
                    row.device,
                    _local(row.expires),
                )
                for row in found.rows
            ],
        )
    elif found.unseen is None:
        line("no tunnels")
    if found.unseen:
        line("unknown: the requests and tunnels of others; the API could not be asked")


def _row(row: Row) -> dict[str, object]:
    return {
        "tunnel_id": row.tunnel,
        "state": row.state,
        "mine": row.mine,
        "device": row.device,
        "created": row.created,
        "expires": row.expires,
        "answered_by": row.answered_by or None,
    }


def _detail(found: Detail) -> dict[str, object]:
    own, api = found.own, found.api
    return {
        "tunnel_id": found.tunnel,
        "state": found.state,
        "mine": own is not None,
        "device": own.device_name if own else "",
        "created": own.created if own else api.created if api else None,
        "expires": own.expires if own else api.expires if api else None,
        "cloud": own.cloud if own else "",
        "server": found.server_name,
        "server_address": own.server_address if own else "",
        "api_state": found.at_api,
        "api_messages": list(api.slots) if api else [],
        "answered_by": api.answered_by if api else None,
    }


def _local(when: datetime) -> str:
    return when.astimezone().strftime("%H:%M")
