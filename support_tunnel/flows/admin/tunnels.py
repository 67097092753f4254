"""The tunnels that support has to do with: one's own, and everybody's on the standing server; one of them in full; and the end of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from support_tunnel.core.errors import SupportTunnelError, UsageError, WrongState
from support_tunnel.core.ports import LedgerEntry
from support_tunnel.core.report import Report
from support_tunnel.core.tailnet.passage import HELPER_TAG
from support_tunnel.core.tailnet.standing import Seen, belongings
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.standing_server import coordinator_of, named_by
from support_tunnel.flows.admin.stop import Ended, end_tunnel, keep
from support_tunnel.flows.standing import end, look
from support_tunnel.flows.teardown import Teardown

__all__ = ["Tunnel", "Tunnels", "close", "one", "tunnels"]

_SHORT: Final = 8
"""Digits by which the standing server knows a tunnel; two of the same are not on it."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """`id` is whole for one's own, else the first 8 digits. `state` is a ledger's stage, `there` on the server, or `ended`."""

    id: str
    ticket: str
    state: str
    mine: bool
    server: str
    """`own`, or the standing server's address."""
    device: str
    until: datetime
    helpers: tuple[str, ...] = ()
    """Labels of who may come in."""
    nodes: tuple[str, ...] = ()
    """Names of what has joined."""
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Tunnels:
    """`unseen` says why the standing server could not be asked: then others' tunnels are unknown, not absent."""

    rows: list[Tunnel]
    unseen: SupportTunnelError | None = None


def tunnels(ports: AdminPorts) -> Tunnels:
    entries = ports.ledger.entries()
    seen, unseen = _seen(ports)
    mine = {entry.tunnel[:8] for entry in entries}
    rows = [_of_entry(ports, entry, seen) for entry in entries]
    rows += [_of_stay(ports, device, seen) for device in seen.stays if device not in mine] if seen else []
    return Tunnels(rows, unseen)


def one(ports: AdminPorts, text: str) -> Tunnel:
    """Also one that has ended, as long as its report is kept. Raises UsageError `tunnel.id`, WrongState `tunnel.unknown`."""
    wanted = _wanted(text)
    found = tunnels(ports)
    live = [row for row in found.rows if row.id.startswith(wanted) or wanted.startswith(row.id)]
    ended = [_of_report(report) for report in ports.ledger.reports() if report.tunnel.startswith(wanted)]
    if not live and not ended and found.unseen is not None:
        raise found.unseen
    return _only(wanted, live or ended)


def close(ports: AdminPorts, text: str) -> Ended:
    """End it, one's own or by the standing server alone, and say each step. Raises as `one`; WrongState `tunnel.busy`."""
    wanted = _wanted(text)
    own = [entry.tunnel for entry in ports.ledger.entries() if entry.tunnel.startswith(wanted)]
    if len(own) == 1:
        if len(wanted) < _SHORT:  # somebody else's may begin with the same digits
            _only(wanted, [row for row in tunnels(ports).rows if row.id.startswith(wanted)])
        with ports.vault.hold(own[0]):
            return end_tunnel(ports, own[0])
    found = one(ports, wanted)
    if found.mine or found.state == "ended":
        raise WrongState(
            "tunnel.ended", f"tunnel {found.id[:8]} has ended", next_step=f"See `fab tunnel.status {wanted}`."
        )
    ending = Teardown()
    ports.progress.step("Ending the tunnel on the Headscale server")
    end(named_by(ports), ports.clock, found.id, ending)
    report = Report(found.id, found.ticket, ports.clock.now(), tuple(ending.steps))
    keep(ports, report)
    return Ended(report, ending.failures[0] if ending.failures else None)


def _seen(ports: AdminPorts) -> tuple[Seen | None, SupportTunnelError | None]:
    try:
        standing = ports.standing()
        return (look(coordinator_of(ports, standing)), None) if standing else (None, None)
    except SupportTunnelError as error:
        return None, error


def _of_entry(ports: AdminPorts, entry: LedgerEntry, seen: Seen | None) -> Tunnel:
    helpers, nodes = _there(ports, entry.tunnel[:8], seen) if entry.headscale else ((), ())
    server = entry.headscale or "own"
    return Tunnel(
        entry.tunnel, entry.ticket, entry.stage, True, server, entry.device_name, entry.expires, helpers, nodes
    )


def _of_stay(ports: AdminPorts, device: str, seen: Seen) -> Tunnel:
    stay, standing = seen.stays[device], ports.standing()
    helpers, nodes = _there(ports, device, seen)
    return Tunnel(device, stay.ticket, "there", False, standing.url if standing else "", "", stay.until, helpers, nodes)


def _of_report(report: Report) -> Tunnel:
    return Tunnel(report.tunnel, report.ticket, "ended", True, "", "", report.at, report=report)


def _there(ports: AdminPorts, device: str, seen: Seen | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if seen is None:
        return (), ()
    found = belongings(seen, device, ports.clock.now())
    helpers = tuple(name for passage in seen.passages if passage.device == device for name in passage.helpers)
    ticket = {stay.ticket for stay in seen.stays.values() if stay.device == device}
    of_ticket = [
        node
        for node in seen.nodes
        for tag in node.tags
        if (match := HELPER_TAG.fullmatch(tag)) and match["ticket"] in ticket and match["name"] in helpers
    ]
    names = [node.name for node in [*found.nodes, *of_ticket]]
    return helpers, tuple(dict.fromkeys(names))


def _wanted(text: str) -> str:
    wanted = text.strip().lower()
    if len(wanted) < 4 or not set(wanted) <= set("0123456789abcdef"):
        raise UsageError(
            "tunnel.id", "a tunnel is named by its id or the first digits of it", next_step="See `fab tunnel.list`."
        )
    return wanted


def _only(wanted: str, found: Sequence[Tunnel]) -> Tunnel:
    if not found:
        raise WrongState("tunnel.unknown", f"there is no tunnel {wanted}", next_step="See `fab tunnel.list`.")
    if len({row.id for row in found}) > 1:
        raise UsageError("tunnel.ambiguous", f"{wanted} names {len(found)} tunnels", next_step="Give more digits.")
    return found[0]
