"""Leave nothing behind: end what a killed tool began, and what is past its own stated expiry. An error deletes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from support_tunnel.core.errors import SupportTunnelError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.report import Report
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.standing_server import coordinator_of
from support_tunnel.flows.admin.stop import keep, stop
from support_tunnel.flows.admin.sweep_clouds import due, end_due
from support_tunnel.flows.at_once import AtOnce, one_after_another
from support_tunnel.flows.standing import reap

__all__ = ["Swept", "sweep"]


@dataclass(slots=True)
class Swept:
    """What was done and what could not be: `failed` pairs a thing with the reason; the verb exits non-zero then."""

    ended: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    """Of tunnels on the standing server."""


def sweep(ports: AdminPorts, *, dry_run: bool = False, at_once: AtOnce = one_after_another) -> Swept:
    """Ours are: ledger entries nobody works on that never connected or are over, this machine's nodes of tunnels that nobody
    has any more, tunnels past their end on the standing Headscale server, and servers with our tag past expiry."""
    swept = Swept()
    for tunnel in dict.fromkeys(_known(ports, swept)):
        _end(ports, tunnel, swept, dry_run=dry_run)
    _reap(ports, swept, dry_run=dry_run)
    over = due(ports.clouds, ports.clock.now(), at_once)
    for one in over if dry_run else end_due(ports.clouds, over, at_once):
        if one.trouble is not None:
            swept.failed.append((one.label, one.trouble))
        else:
            swept.ended.append(one.label)
    return swept


def _known(ports: AdminPorts, swept: Swept) -> Iterator[TunnelId]:
    """A damaged file in one place keeps nothing elsewhere from being ended."""
    places: dict[str, Callable[[], Iterable[TunnelId]]] = {
        "ledger": lambda: [entry.tunnel for entry in ports.ledger.entries()],
        "vault": ports.vault.tunnels,
    }
    if ports.own_node is not None:
        places["own node"] = ports.own_node.tunnels
    for place, tunnels in places.items():
        try:
            yield from tunnels()
        except (SupportTunnelError, OSError) as error:
            swept.failed.append((place, str(error)))


def _reap(ports: AdminPorts, swept: Swept, *, dry_run: bool) -> None:
    """The standing server's, by its own clock, whoever began them."""
    try:
        if (standing := ports.standing()) is None:
            return
        reaped = reap(coordinator_of(ports, standing), ports.clock, dry_run=dry_run)
    except SupportTunnelError as error:
        swept.failed.append(("Headscale server", error.message))
        return
    for device, ticket, steps in reaped.reports:
        report = Report(device, ticket, ports.clock.now(), steps)
        swept.reports.append(report)
        keep(ports, report)
    swept.ended += reaped.ended
    swept.failed += reaped.failed


def _end(ports: AdminPorts, tunnel: TunnelId, swept: Swept, *, dry_run: bool) -> None:
    label = f"tunnel {tunnel[:8]}"
    try:
        with ports.vault.hold(tunnel):
            # Read while it is held: a tool that let go of it a moment ago may have connected.
            entry = ports.ledger.read(tunnel)
            if entry is not None and entry.stage == "connected" and ports.clock.now() < entry.expires:
                swept.kept.append(f"{label} (connected until {entry.expires:%H:%M})")
                return
            if not dry_run:
                stop(ports, tunnel)
            swept.ended.append(label)
    except WrongState as error:
        if error.code == "tunnel.busy":
            swept.kept.append(f"{label} (a tool is working on it)")
        else:
            swept.failed.append((label, error.message))
    except (SupportTunnelError, OSError) as error:
        swept.failed.append((label, str(error)))
