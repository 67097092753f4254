"""Keep account of the servers that are launched, refuse one beyond the spend cap, and say what runs and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Cloud, LedgerEntry, Server
from support_tunnel.core.spending import Rental, Spent, require_budget, spent_in_month
from support_tunnel.flows.admin.launch import MARGIN
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.at_once import AtOnce, one_after_another

__all__ = ["Cost", "Running", "cost", "rent", "return_rented"]


@dataclass(frozen=True, slots=True)
class Running:
    cloud: str
    server: Server
    hourly: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """`running` is everybody's with our tag; `month` is this admin's, from their own account."""

    running: Sequence[Running]
    month: Spent
    failed: Sequence[tuple[str, str]]
    """Clouds that could not be asked, and why: what runs there is not in it."""


def rent(ports: AdminPorts, entry: LedgerEntry) -> None:
    """Before the server is made. Raises WrongState `cost.cap`, UsageError `cost.unknown`; only a cap asks a cloud for its price."""
    capped = ports.spend_cap is not None
    hourly = _price(ports.clouds[entry.cloud]) if capped else None
    new = Rental(entry.tunnel, entry.cloud, entry.created, entry.expires + MARGIN, hourly)
    if ports.spend_cap is not None:
        rentals = ports.account.rentals()
        require_budget(
            ports.spend_cap, new, rentals, _prices(ports, {old.cloud for old in rentals if old.hourly is None})
        )
    ports.account.write(new)


def return_rented(ports: AdminPorts, tunnel: TunnelId) -> None:
    for rental in ports.account.rentals():
        if rental.tunnel == tunnel and rental.ended is None:
            ports.account.write(replace(rental, ended=ports.clock.now()))


def cost(ports: AdminPorts, at_once: AtOnce = one_after_another) -> Cost:
    running: list[Running] = []
    failed: list[tuple[str, str]] = []
    prices: dict[str, float | None] = {}
    for name, price, servers, trouble in at_once(lambda name: _asked(name, ports.clouds[name]), [*ports.clouds]):
        prices[name] = price
        running += [Running(name, server, price) for server in servers]
        if trouble is not None:
            failed.append((name, trouble))
    running.sort(key=lambda one: (one.cloud, one.server.name))
    return Cost(running, spent_in_month(ports.account.rentals(), ports.clock.now(), prices), sorted(failed))


def _asked(name: str, cloud: Cloud) -> tuple[str, float | None, Sequence[Server], str | None]:
    try:
        return name, _price(cloud), [server for server in cloud.servers() if server.billed], None
    except SupportTunnelError as error:
        return name, _price(cloud), [], error.message


def _prices(ports: AdminPorts, clouds: Iterable[str]) -> dict[str, float | None]:
    return {name: _price(ports.clouds[name]) for name in clouds if name in ports.clouds}


def _price(cloud: Cloud) -> float | None:
    """A cloud that does not tell its price now is one whose price is not known."""
    with suppress(SupportTunnelError):
        return cloud.hourly()
    return None
