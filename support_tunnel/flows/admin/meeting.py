"""Where a device and the admin meet: a server of this tunnel's own, or a standing Headscale; what `finish` leaves to either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.invitation import Invitation
from support_tunnel.core.names import Names
from support_tunnel.core.ports import Hops, LedgerEntry
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.payloads import Answer, Offer, Ready
from support_tunnel.core.st1.people import Helper, check_helpers
from support_tunnel.core.tailnet import label
from support_tunnel.flows.admin.record import Reached

__all__ = [
    "HELPER",
    "INVITED_SECONDS",
    "Meeting",
    "Settled",
    "helper_labels",
    "over_at",
    "require_fitting",
    "ticket_label",
]

INVITED_SECONDS = 900
"""How long a helper may take from the owner's consent to their join; before it there is no key for them."""

HELPER: Final = "server"
"""Label of a tunnel's own server, which is a helper to the network."""
CLOSE = timedelta(seconds=30)
"""Two clocks that differ by less are one: that much is a message's way."""


@dataclass(frozen=True, slots=True)
class Settled:
    """`way` is `udp` or `udp-443` by WireGuard; along Headscale `direct` or `relay`, empty where that cannot be told."""

    way: str
    invitations: tuple[Invitation, ...] = ()


class Meeting(Protocol):
    """What it does may be repeated, by `resume`. Raises HostError, CoordinatorError."""

    @property
    def reached(self) -> Reached: ...

    def prepare(self, session: AdminSession) -> None:
        """Before the answer is out: have everything there that the device will look for."""
        ...

    def hops(self, session: AdminSession, ready: Ready) -> Hops:
        """The way in, once the device is there."""
        ...

    def settled(self, session: AdminSession, ready: Ready) -> Settled:
        """What is told at the end. Trouble with a helper's key is told and ends nothing."""
        ...

    def close(self) -> None: ...


def over_at(session: AdminSession, ready: Ready, latest: datetime) -> datetime:
    """The end that the device named, by this machine's clock, or `latest` where that is sooner. `ready.until` is by the device's."""
    ahead = session.device_offset
    return min(ready.until - ahead if abs(ahead) > CLOSE else ready.until, latest)


def ticket_label(entry: LedgerEntry) -> str:
    """Without a ticket a tunnel is alone in one of its own."""
    return label(entry.ticket or f"tunnel-{Names(entry.tunnel).short}")


def helper_labels(answer: Answer) -> dict[str, str]:
    """Of each helper but the admin: label by name."""
    return {helper.name: label(helper.name) for helper in answer.helpers}


def require_fitting(
    offer: Offer, admin: str, helpers: Sequence[Helper], only: Sequence[int] | None, *, organised: bool
) -> None:
    """Refuse what the answer could not say, before anything is made; `organised`: session keys are vouched for by an organisation.

    Raises UsageError `helper.organisation`, `helper.transport`, `helper.names`, `scope.ports`.
    """
    if helpers and organised:
        raise UsageError(
            "helper.organisation",
            "a device of an organisation lets in keys that it has certified, and a helper's own key is not",
            next_step="Leave --helper out; the other helper answers a code of their own.",
        )
    if helpers and "headscale" not in offer.transports:
        raise UsageError(
            "helper.transport",
            "the owner offers WireGuard alone, which ends at your own machine; other helpers cannot come",
            next_step="Ask the owner for a request with --transport headscale --pq prefer.",
        )
    try:
        check_helpers(helpers, admin=admin, keys=(), paths=())
    except MessageError as wrong:
        raise UsageError("helper.names", f"--helper: {wrong.message}") from None
    if HELPER in {label(helper.name) for helper in helpers}:
        raise UsageError("helper.names", f"--helper: the name {HELPER} is the tunnel server's own")
    if only is not None and (beyond := sorted(set(only) - set(offer.scope.ports))):
        offered = ", ".join(map(str, offer.scope.ports)) or "none"
        raise UsageError(
            "scope.ports",
            f"the owner offered no port {beyond[0]} (offered: {offered})",
            next_step=f"Ask the owner for a request with --port {beyond[0]}.",
        )
