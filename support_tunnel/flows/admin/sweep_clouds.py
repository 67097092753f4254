"""End every server that carries our tag and is past its own expiry, on all clouds at the same time, from what they list alone.

An error is never "nothing there": a cloud that does not answer, or answers oddly, is named and left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain, zip_longest
from typing import Final, NamedTuple

from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.ports import Cloud, Server
from support_tunnel.flows.at_once import AtOnce

__all__ = ["Due", "due", "end_due"]

SKEW: Final = timedelta(minutes=5)
"""By which two clocks may differ without being wrong."""


class Due(NamedTuple):
    """A server that is over, or a cloud that could not be asked: then `server` is None and `trouble` says why."""

    cloud: str
    server: Server | None
    trouble: str | None = None

    @property
    def label(self) -> str:
        return f"server {self.server.name} ({self.cloud})" if self.server else f"cloud {self.cloud}"


def due(clouds: Mapping[str, Cloud], now: datetime, at_once: AtOnce) -> list[Due]:
    """What is over on each cloud, one of each after the other, so that all of them are busy when it is ended."""
    found = {name: listed for name, listed in at_once(lambda name: (name, _due_on(name, clouds[name], now)), [*clouds])}
    rows: Iterable[tuple[Due | None, ...]] = zip_longest(*(found[name] for name in clouds))
    return [one for one in chain.from_iterable(rows) if one is not None]


def end_due(clouds: Mapping[str, Cloud], over: Iterable[Due], at_once: AtOnce) -> Iterator[Due]:
    """End them and give each back, with its trouble where it could not be proved gone."""

    def end(one: Due) -> Due:
        if one.server is None:
            return one
        try:
            clouds[one.cloud].destroy(one.server.id)
        except SupportTunnelError as error:
            return one._replace(trouble=error.message)
        return one

    return at_once(end, [*over])


def _due_on(name: str, cloud: Cloud, now: datetime) -> list[Due]:
    try:
        servers, theirs = cloud.servers(), cloud.now() or now
    except SupportTunnelError as error:
        return [Due(name, None, error.message)]
    # A clock that is ahead would call everybody's live servers over.
    over = [Due(name, server) for server in servers if _is_over(server, min(now, theirs))]
    if abs(now - theirs) > SKEW:
        over.append(
            Due(
                name,
                None,
                f"its clock says {theirs:%Y-%m-%d %H:%M} UTC and this machine's {now:%Y-%m-%d %H:%M}; set this one",
            )
        )
    return over


def _is_over(server: Server, now: datetime) -> bool:
    expires = server.tags.get("st-expires", "")
    return expires.isascii() and expires.isdigit() and int(expires) <= now.timestamp()
