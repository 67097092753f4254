"""Which tunnels there are: this admin's own from the ledger, the organisation's open ones from the API."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from support_tunnel.core.errors import SupportTunnelError, UsageError, WrongState
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import LedgerEntry, TunnelRow
from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["Detail", "Listing", "Row", "detail", "find", "listing"]


@dataclass(frozen=True, slots=True)
class Row:
    """`state` is a ledger stage for one's own tunnels, else `waiting` or `answered`."""

    tunnel: TunnelId
    state: str
    mine: bool
    created: datetime
    expires: datetime
    device: str = ""
    server: str = ""
    answered_by: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """`unseen` says why the API could not be asked: then other people's tunnels are unknown, not absent."""

    rows: list[Row]
    unseen: SupportTunnelError | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """One tunnel: `own` from the ledger, `api` from the API; at least one of them is there."""

    tunnel: TunnelId
    own: LedgerEntry | None
    api: TunnelRow | None
    unseen: SupportTunnelError | None = None

    @property
    def state(self) -> str:
        return self.own.stage if self.own else _api_state(self.api) if self.api else "unknown"

    @property
    def server_name(self) -> str:
        return Names(self.tunnel).server if self.own else ""

    @property
    def at_api(self) -> str:
        """`unknown` when it could not be asked; `closed` also for a tunnel that it has forgotten."""
        return "unknown" if self.unseen else self.api.state if self.api else "closed"


def listing(ports: AdminPorts) -> Listing:
    """Own tunnels first, then the API's open ones. An API that is away takes nothing from the first."""
    own = ports.ledger.entries()
    rows = [Row(e.tunnel, e.stage, True, e.created, e.expires, e.device_name, e.server_address) for e in own]
    mine = {row.tunnel for row in rows}
    seen, unseen = _seen(ports)
    rows += [
        Row(row.tunnel, _api_state(row), False, row.created, row.expires, answered_by=row.answered_by or "")
        for row in seen
        if row.tunnel not in mine and row.state == "open"
    ]
    return Listing(rows, unseen)


def detail(ports: AdminPorts, text: str) -> Detail:
    """Everything known about the tunnel whose id begins with `text`, one's own or another's. Raises as `find`."""
    wanted = _wanted(text)
    own = {entry.tunnel: entry for entry in ports.ledger.entries()}
    seen, unseen = _seen(ports)
    rows = {row.tunnel: row for row in seen}
    try:
        tunnel = _only(wanted, [*own, *rows])
    except WrongState:
        # Not there, or not to be seen: that the API is away must not read as "there is no such tunnel".
        if unseen is not None:
            raise unseen from None
        raise
    return Detail(tunnel, own.get(tunnel), rows.get(tunnel), unseen)


def find(ports: AdminPorts, text: str) -> TunnelId:
    """The tunnel of this admin whose id begins with `text` (4 or more digits). Raises UsageError, WrongState."""
    return _only(_wanted(text), [entry.tunnel for entry in ports.ledger.entries()])


def _seen(ports: AdminPorts) -> tuple[list[TunnelRow], SupportTunnelError | None]:
    try:
        return list(ports.mailbox_for(None).tunnels()), None
    except SupportTunnelError as error:
        return [], error


def _api_state(row: TunnelRow) -> str:
    return "closed" if row.state == "closed" else "answered" if row.answered_by else "waiting"


def _wanted(text: str) -> str:
    wanted = text.strip().lower()
    if len(wanted) < 4 or not set(wanted) <= set("0123456789abcdef"):
        raise UsageError(
            "tunnel.id", "a tunnel is named by its id or the first digits of it", next_step="See `fab list`."
        )
    return wanted


def _only(wanted: str, tunnels: Iterable[TunnelId]) -> TunnelId:
    found = {tunnel for tunnel in tunnels if tunnel.startswith(wanted)}
    if not found:
        raise WrongState("tunnel.unknown", f"you have no tunnel {wanted}", next_step="See `fab list`.")
    if len(found) > 1:
        raise UsageError("tunnel.ambiguous", f"{wanted} names {len(found)} tunnels", next_step="Give more digits.")
    return found.pop()
