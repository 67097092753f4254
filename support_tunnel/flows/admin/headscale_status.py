"""How the standing Headscale server is, from what it says itself: nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.tailnet.standing import astray
from support_tunnel.core.tailnet.stay import Stay
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.standing_server import coordinator_of, require_standing
from support_tunnel.flows.standing import look
from support_tunnel.flows.tailnet import LEASE, LOCK

__all__ = ["Health", "headscale_status"]

SKEW = timedelta(seconds=30)
"""Of its clock from ours, more than which somebody's ends are not where they are thought to be."""
SOON = timedelta(days=14)
"""Before the end of a certificate."""


@dataclass(frozen=True, slots=True)
class Health:
    """`problems` are sentences, each with what to do; none: all is well. What is None could not be seen."""

    url: str
    version: str
    now: datetime
    ahead: timedelta
    certificate: datetime | None
    nodes: int
    online: int
    tunnels: tuple[Stay, ...]
    leftovers: tuple[str, ...]
    problems: tuple[str, ...]


def headscale_status(ports: AdminPorts) -> Health:
    """Raises UsageError `headscale.standing`; CoordinatorError where it cannot be asked at all."""
    standing = require_standing(ports)
    coordinator = coordinator_of(ports, standing)
    version, problems = coordinator.version(), list[str]()
    try:
        coordinator.health()
    except CoordinatorError as sick:
        problems.append(f"It is not well: {sick.message}. {sick.next_step}")
    now, ours = coordinator.now(), ports.clock.now()
    ahead = now - ours
    if abs(ahead) > SKEW:
        problems.append(f"Its clock is {int(ahead.total_seconds())} s from ours: set the wrong one.")
    ends = coordinator.certificate_end()
    if ends is not None and ends - now < SOON:
        problems.append(f"Its certificate ends {ends:%Y-%m-%d %H:%M} UTC: renew it.")
    seen = look(coordinator)
    if seen.unread:
        problems.append(f"No tunnel can begin or end whole: {seen.unread}. Use a Headscale server for support alone.")
    tunnels = tuple(sorted(seen.stays.values(), key=lambda stay: stay.end))
    lost = astray(seen, now)
    leftovers = [
        *(f"tunnel {stay.device}, over since {stay.until:%Y-%m-%d %H:%M} UTC" for stay in seen.over(now)),
        *(f"node {node.name} of no tunnel" for node in lost.nodes),
        *(f"join key {key.id} of no tunnel" for key in lost.keys),
        *(f"policy rule of {passage.device}" for passage in lost.passages),
        *(
            "a dead tool's lock of the policy"
            for user in seen.users
            if user.name == LOCK and now - user.created >= LEASE
        ),
    ]
    if leftovers:
        problems.append("Something is left of tunnels that are over: run `fab sweep`, and see that its timer runs.")
    return Health(
        url=standing.url,
        version=version,
        now=now,
        ahead=ahead,
        certificate=ends,
        nodes=len(seen.nodes),
        online=sum(node.online for node in seen.nodes),
        tunnels=tunnels,
        leftovers=tuple(leftovers),
        problems=tuple(problems),
    )
