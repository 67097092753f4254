"""A standing Headscale server, one for many tunnels, as the place to meet: nothing is launched, and this machine is a node of its own.

Its addresses are given out as nodes join, so the device's is read from the server's list. Whoever runs that server could name another:
it would find no host key there that was in the sealed offer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from support_tunnel.core import addressing
from support_tunnel.core.errors import CoordinatorError, HostError, SupportTunnelError, UsageError
from support_tunnel.core.invitation import Invitation
from support_tunnel.core.names import Names
from support_tunnel.core.ports import Coordinator, Hops, Joining, LedgerEntry, Node, OwnNode, ThroughOwnNode
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.paths import HeadscalePath
from support_tunnel.core.st1.payloads import Ready
from support_tunnel.core.st1.people import Helper
from support_tunnel.core.tailnet import Passage, label
from support_tunnel.flows.admin.coordinate import JOIN_SECONDS, OWN_JOIN_SECONDS
from support_tunnel.flows.admin.meeting import INVITED_SECONDS, Settled, helper_labels, over_at, ticket_label
from support_tunnel.flows.admin.ports import AdminPorts, Standing
from support_tunnel.flows.admin.record import Reached
from support_tunnel.flows.standing import begin, look, require_room, require_there, shorten
from support_tunnel.flows.tailnet import open_passage

__all__ = ["StandingServer", "coordinator_of", "named_by", "require_place", "require_standing", "settle"]

AWAY_SECONDS = 60.0
"""For which a server that goes away once the owner has agreed is waited for."""
_PAUSE: Final = 2.0
_PASSES: Final = frozenset({"headscale.unavailable", "headscale.unsure"})


class StandingServer:
    """`meeting.Meeting`: `reached` holds what is the same for both kinds, and no host key."""

    def __init__(self, ports: AdminPorts, entry: LedgerEntry, standing: Standing, reached: Reached) -> None:
        self._ports = ports
        self._entry = entry
        self._standing = standing
        self.coordinator = coordinator_of(ports, standing)
        self.reached = reached

    def prepare(self, session: AdminSession) -> None:
        node, tunnel = _own_node(self._ports), self._entry.tunnel
        if node.address(tunnel) is not None:
            return
        self._ports.progress.step("Joining the network from this machine")
        way = _passage(self._entry, session.answer.name, list(helper_labels(session.answer).values()))
        key = self.coordinator.create_join_key(OWN_JOIN_SECONDS, tags=[way.helper_tag(label(session.answer.name))])
        left = (self._entry.expires - self._ports.clock.now()).total_seconds()
        node.join(tunnel, Joining(self._standing.url, self._standing.authority, key.text, int(left)))

    def hops(self, session: AdminSession, ready: Ready) -> Hops:
        """Raises HostError `headscale.device` where the server lists no such node; WrongState `tunnel.over`."""
        address = self._device_address(session)
        self._shorten(session, ready)
        self._prove(session)
        return Hops(
            ThroughOwnNode(_own_node(self._ports).through(self._entry.tunnel)),
            device_address=address,
            device_port=addressing.SESSION_PORT,
            device_user=ready.user,
            device_host_key=session.offer.ssh_host_key,
        )

    def settled(self, session: AdminSession, ready: Ready) -> Settled:
        """Raises WrongState `tunnel.over` where somebody ended it since `hops` looked."""
        way, invitations = "", tuple[Invitation, ...]()
        try:
            address = self._device_address(session)
            way = _own_node(self._ports).way_to(self._entry.tunnel, address)
            invitations = self._invitations(session, ready, address)
        except SupportTunnelError as trouble:
            self._ports.progress.note(f"There is no key for your helpers: {trouble.message}.")
        with suppress(CoordinatorError):  # nobody says that it is over
            short = Names(self._entry.tunnel).short
            require_there(self.coordinator, self._ports.clock, short, self._entry.nonce)
        return Settled(way, invitations)

    def close(self) -> None:
        """Nothing is open."""

    def _device_address(self, session: AdminSession) -> str:
        tag = _passage(self._entry, session.answer.name, []).device_tag
        for node in self._nodes():
            for text in node.addresses if tag in node.tags else ():
                if (address := addressing.node_address(text)) is not None:
                    return str(address)
        raise HostError(
            "headscale.device",
            "the Headscale server does not list the device, which says that it has joined",
            next_step="Ask the owner for a new code; if it happens again, tell whoever runs the server.",
        )

    def _nodes(self) -> Sequence[Node]:
        """The owner has said yes: a server that is away for a moment does not undo that."""
        clock = self._ports.clock
        deadline = clock.monotonic() + AWAY_SECONDS
        while True:
            try:
                return self.coordinator.nodes()
            except CoordinatorError as away:
                if away.code not in _PASSES or clock.monotonic() >= deadline:
                    raise
                self._ports.progress.step("Waiting for the Headscale server, which is away")
                clock.pause(_PAUSE)

    def _shorten(self, session: AdminSession, ready: Ready) -> None:
        """The record is by the server's clock: what is left is the same by both. Raises WrongState `tunnel.over`."""
        left = (over_at(session, ready, self._entry.expires) - self._ports.clock.now()).total_seconds()
        try:
            shorten(
                self.coordinator, Names(self._entry.tunnel).short, self._entry.nonce, int(min(left, session.answer.ttl))
            )
        except CoordinatorError as trouble:
            # Only an end that comes later than it could; `fab stop` and the device's own end do not need it.
            self._ports.progress.note(f"The server's record of the tunnel keeps its later end: {trouble.message}.")

    def _prove(self, session: AdminSession) -> None:
        """The same rule again, now with Headscale's own tests of the nodes that are there."""
        way = _passage(self._entry, session.answer.name, list(helper_labels(session.answer).values()))
        try:
            open_passage(self.coordinator, self._ports.clock, way)
        except CoordinatorError as trouble:
            if trouble.code == "headscale.refused":  # it lets through what it should not
                raise
            self._ports.progress.note(f"The policy's own tests could not be renewed: {trouble.message}.")

    def _invitations(self, session: AdminSession, ready: Ready, address: str) -> tuple[Invitation, ...]:
        labels = helper_labels(session.answer)
        way = _passage(self._entry, session.answer.name, list(labels.values()))
        return tuple(
            Invitation(
                tunnel=self._entry.tunnel,
                name=name,
                control=self._standing.url,
                authority=self._standing.authority,
                key=self.coordinator.create_join_key(INVITED_SECONDS, tags=[way.helper_tag(labelled)]).text,
                address=address,
                user=ready.user,
                host_key=session.offer.ssh_host_key,
                until=over_at(session, ready, self._entry.expires),
            )
            for name, labelled in labels.items()
        )


def require_place(ports: AdminPorts, standing: Standing, code: Code) -> None:
    """Refuse what could not come to be, before anything is made or claimed: the owner's code is good for another try.

    `settle` stays the judge, of two tools at the same moment too. Raises UsageError `config.authority`, `node.programs`;
    WrongState `tunnels.full`, `tailnet.taken`; CoordinatorError.
    """
    _as_der(standing.authority)
    _own_node(ports).require()
    seen = look(coordinator_of(ports, standing))
    if seen.unread:
        raise CoordinatorError("tailnet.foreign", seen.unread, next_step="Use a Headscale server for support alone.")
    require_room(seen.stays, Names(code.tunnel).short, ports.limits)


def settle(
    ports: AdminPorts, code: Code, entry: LedgerEntry, standing: Standing, name: str, helpers: tuple[Helper, ...]
) -> tuple[StandingServer, tuple[HeadscalePath, ...]]:
    """From nothing to a network that waits for the device: its record, then who may reach it, then its key.

    Raises WrongState `tunnels.full`, `tailnet.taken`; CoordinatorError, UsageError.
    """
    authority = _as_der(standing.authority)
    reached = Reached("", 0, code.network, standing.authority)
    server = StandingServer(ports, entry, standing, reached)
    way = _passage(entry, name, [label(helper.name) for helper in helpers])
    coordinator = server.coordinator
    ports.progress.step(f"Opening the way on the Headscale server ({standing.url})")
    left = int((entry.expires - ports.clock.now()).total_seconds())
    begin(coordinator, way.device, way.ticket, nonce=entry.nonce, seconds=left, limits=ports.limits)
    # Before anybody joins: without a rule all of ours see nobody, without a policy everybody sees all.
    open_passage(coordinator, ports.clock, way)
    key = coordinator.create_join_key(JOIN_SECONDS, tags=[way.device_tag])
    return server, (HeadscalePath(standing.url, authority, key.text, shared=True),)


def require_standing(ports: AdminPorts, url: str = "") -> Standing:
    """The one that the inventory names, or that a tunnel is on. Raises UsageError `headscale.standing`."""
    standing = ports.standing()
    if standing is None or url not in ("", standing.url):
        where = f"the Headscale server {url}, which the inventory no longer names" if url else "a standing server"
        raise UsageError(
            "headscale.standing",
            f"this needs {where}",
            next_step="Set headscale_server, headscale_authority and headscale_key in the inventory (docs/headscale.md).",
        )
    return standing


def coordinator_of(ports: AdminPorts, standing: Standing) -> Coordinator:
    return ports.coordinator_for(standing.url, standing.key(), standing.authority)


def named_by(ports: AdminPorts, url: str = "") -> Coordinator:
    """Its API. Raises UsageError `headscale.standing`."""
    return coordinator_of(ports, require_standing(ports, url))


def _as_der(authority: str) -> bytes:
    from support_tunnel.core.private_authority import as_der  # here: most sessions have no certificate

    return as_der(authority)


def _own_node(ports: AdminPorts) -> OwnNode:
    if ports.own_node is None:
        raise UsageError("node.programs", "this machine cannot be a node of a network", next_step="Use --server own.")
    return ports.own_node


def _passage(entry: LedgerEntry, admin: str, labels: list[str]) -> Passage:
    return Passage(ticket_label(entry), Names(entry.tunnel).short, (label(admin), *labels), (addressing.SESSION_PORT,))
