"""What servers cost, as far as a price by the hour can say it: an estimate, in US dollars. Pure.

A server is reckoned until it was seen gone, or until it ends itself, whichever is earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId

__all__ = ["Rental", "Spent", "parse_dollars", "require_budget", "spent_in_month"]


@dataclass(frozen=True, slots=True)
class Rental:
    """A server that this admin launched, or was about to. `hourly` is None where nobody knew the price."""

    tunnel: TunnelId
    cloud: str
    began: datetime
    until: datetime
    """When it ends itself."""
    hourly: float | None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    dollars: float
    unpriced: int
    """Servers of that month that are not in it, because their price is not known."""


def spent_in_month(rentals: Iterable[Rental], month: datetime, prices: Mapping[str, float | None]) -> Spent:
    """Of the month in UTC that `month` lies in, what still runs being reckoned to its end. `prices`: of today, by cloud."""
    begins, ends = _month(month)
    dollars, unpriced = 0.0, 0
    for rental in rentals:
        last = min(rental.until, rental.ended or rental.until, ends)
        hours = (last - max(rental.began, begins)).total_seconds() / 3600
        price = rental.hourly if rental.hourly is not None else prices.get(rental.cloud)
        if hours <= 0:
            continue
        if price is None:
            unpriced += 1
        else:
            dollars += hours * price
    return Spent(dollars, unpriced)


def require_budget(cap: float, new: Rental, rentals: Iterable[Rental], prices: Mapping[str, float | None]) -> None:
    """Raises WrongState `cost.cap` when `new` would lead beyond the cap of its month, UsageError `cost.unknown` without a price."""
    if new.hourly is None:
        raise UsageError(
            "cost.unknown",
            f"there is a spend cap, and what a server on {new.cloud} costs is not known",
            next_step=f"Set its price: clouds/{new.cloud}/hourly in the inventory, in US dollars an hour.",
        )
    spent = spent_in_month([*rentals, new], new.began, prices)
    if spent.dollars > cap:
        raise WrongState(
            "cost.cap",
            f"with this server the month would cost about {spent.dollars:.2f} US dollars, and spend_cap is {cap:.2f}",
            next_step="See `fab cost`; ask for fewer minutes (--minutes, --wait), end other tunnels, or raise spend_cap.",
        )


def parse_dollars(text: str, where: str) -> float:
    """Raises UsageError `config.type`."""
    try:
        dollars = float(text)
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars < 1e9:
        raise UsageError("config.type", f"{where} should be a number of US dollars, such as 25 or 0.05")
    return dollars


def _month(moment: datetime) -> tuple[datetime, datetime]:
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = divmod(first.year * 12 + first.month, 12)
    return first, first.replace(year=year, month=month + 1)
