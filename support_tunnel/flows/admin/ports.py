"""What an admin verb is given: every port it may call, and the settings it obeys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from support_tunnel.core.errors import UsageError
from support_tunnel.core.limits import Limits
from support_tunnel.core.ports import (
    Account,
    Certifier,
    Clock,
    Cloud,
    Connector,
    Coordinator,
    Door,
    Images,
    Ledger,
    Mailbox,
    OwnNode,
    Progress,
    Vault,
)
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.signer import Signer
from support_tunnel.flows.library import Library

__all__ = ["AcceptedRisks", "AdminPorts", "CoordinatorFor", "MailboxFor", "Programs", "Standing"]

MailboxFor = Callable[[Secret[bytes] | None], Mailbox]
"""A mailbox for this admin's token and, where one tunnel's content is wanted, the claim derived from its code."""


CoordinatorFor = Callable[[str, Secret[str], str], Coordinator]
"""A client of the Headscale server at this URL, with this API key, trusting this authority (PEM) alone."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where a tunnel server has what the transport headscale needs: paths on the server."""

    headscale: str
    sha256: str
    """Of that program, in hex."""
    tailscale: str
    """Folder of `tailscale` and `tailscaled`."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A Headscale server that is there for many tunnels."""

    url: str
    """`https://NAME:port`, or an address in place of the name."""
    authority: str
    """PEM of the one that vouches for it."""
    key: Callable[[], Secret[str]]
    """Reads its API key when it is needed. Raises UsageError `secret.source`."""


@dataclass(frozen=True, slots=True)
class AcceptedRisks:
    """What the admin has accepted by typing its name; nothing is accepted by default, and there is no flag for all."""

    classical: bool = False
    """A device without ML-KEM: what is sent could be read later with a quantum computer by whoever has the code."""
    skew: bool = False
    """A device whose clock is more than a day off."""


def _no_coordinator(url: str, key: Secret[str], authority: str) -> Coordinator:
    raise UsageError("headscale.server-programs", "no Headscale is set up here")


@dataclass(frozen=True, slots=True)
class AdminPorts:
    clock: Clock
    mailbox_for: MailboxFor
    clouds: Mapping[str, Cloud]
    """By the names of the inventory."""
    cloud: str
    """The one that new servers come from."""
    connector: Connector
    door: Door
    ledger: Ledger
    account: Account
    vault: Vault
    progress: Progress
    library: Library
    signer: Callable[[], Signer]
    """Reads the admin's long-lived key when it is needed. Raises UsageError `signer.missing`."""
    owner: str
    """Who launches: a cloud tag, so that a sweep from another machine knows whose server it is."""
    accepted: AcceptedRisks = AcceptedRisks()
    certifier: Certifier | None = None
    """Where an organisation's devices are helped; None: session keys are let in as they are."""
    coordinator_for: CoordinatorFor = _no_coordinator
    images: Mapping[str, Images] = field(default_factory=dict)
    """As `clouds`."""
    limits: Limits = field(default_factory=Limits)
    spend_cap: float | None = None
    """US dollars a month; None: no cap."""
    programs: Callable[[], Programs | None] = lambda: None
    """None: this admin answers no request whose only way is Headscale."""
    standing: Callable[[], Standing | None] = lambda: None
    """The one that the inventory names. Raises UsageError `config.standing`."""
    own_node: OwnNode | None = None
    """This machine as a node of a tunnel's network, where there is no tunnel server to go through."""
