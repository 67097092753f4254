"""Look at the list again and again, and say which requests began to wait since the look before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from support_tunnel.core.errors import UsageError
from support_tunnel.flows.admin.listing import Listing, Row, listing
from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["Look", "watch"]

REFRESH = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    found: Listing
    new: list[Row]
    """Requests that wait now and did not at the last look; none at the first one."""


def watch(ports: AdminPorts) -> Iterator[Look]:
    """Look every two seconds, for as long as the caller asks. An API that is away is looked at again; UsageError ends it."""
    known: set[str] | None = None
    while True:
        found = listing(ports)
        if isinstance(found.unseen, UsageError):
            raise found.unseen
        new: list[Row] = []
        if found.unseen is None:
            waiting = [row for row in found.rows if row.state == "waiting"]
            new = [row for row in waiting if known is not None and row.tunnel not in known]
            # Added to, never replaced: a request that the API forgets and shows again is no news.
            known = (known or set()) | {row.tunnel for row in waiting}
        yield Look(found, new)
        ports.clock.pause(REFRESH)
