"""End every server that carries our tag and is past its own expiry, on all clouds at the same time, from what they list alone.

An error is never "nothing there": a cloud that does not answer, or answers oddly, is named and left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
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
    """What is over, in the clouds' order."""
    found = dict(at_once(lambda name: (name, _due_on(name, clouds[name], now)), [*clouds]))
    return [one for name in clouds for one in found[name]]


def end_due(clouds: Mapping[str, Cloud], over: Iterable[Due], at_once: AtOnce) -> Iterator[Due]:
    """End them and give each back, with its trouble where it could not be proved gone.

    A cloud is told all of its own at once: it proves them gone by the same lists, and knows how much it may be asked at a time.
    """
    by_cloud: dict[str, list[Due]] = {}
    for one in over:
        by_cloud.setdefault(one.cloud, []).append(one)

    def end(name: str) -> list[Due]:
        servers = [one.server.id for one in by_cloud[name] if one.server is not None]
        try:
            troubles = clouds[name].destroy_all(servers) if servers else {}
        except SupportTunnelError as error:
            troubles = dict.fromkeys(servers, error)
        return [
            one._replace(trouble=troubles[one.server.id].message) if one.server and one.server.id in troubles else one
            for one in by_cloud[name]
        ]

    return chain.from_iterable(at_once(end, [*by_cloud]))


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
