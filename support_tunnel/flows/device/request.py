"""Ask for support: make the code and the offer, and put the offer into the mailbox. Grants nothing."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from support_tunnel.core import ssh_key, wireguard_key
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Mailbox
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.device import DeviceOffer
from support_tunnel.core.st1.paths import Transport
from support_tunnel.flows.device.check_device import require_tailscale
from support_tunnel.flows.device.free_names import require_free_names
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record, save_record

__all__ = ["Requested", "Wish", "request"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the owner is ready to grant at most; `ttl` in seconds."""

    scope: Scope
    ttl: int
    name: str
    patience: int = 3600
    """Seconds to wait for a helper before the request ends by itself."""
    phone: bool = False
    """A code of words, to be read aloud."""
    approved: bool = False
    """Nobody is asked later: the owner has said yes to whoever answers."""
    allow_classical: bool = False
    """Also where this device's cryptography has no ML-KEM; the helper has to accept it too."""
    transports: tuple[Transport, ...] = ("wireguard",)
    """The ways that the helper's tool may answer with."""


@dataclass(frozen=True, slots=True)
class Requested:
    offer: DeviceOffer
    mailbox: Mailbox
    record: Record
    wireguard_private: Secret[str]
    ssh_host_private: Secret[str]

    @property
    def tunnel(self) -> TunnelId:
        return self.offer.tunnel


def request(ports: DevicePorts, wish: Wish, code: Code, *, approved_for: tuple[str, ...] | None = None) -> Requested:
    """Offer what `wish` allows under `code`; `approved_for` as in Record.

    Raises what the mailbox raises, HostError `names.taken`, UsageError `headscale.programs`.
    """
    if "headscale" in wish.transports:
        require_tailscale(ports)
    # Before the first line of its log, by which clean-up knows a group of such a name as ours.
    require_free_names(ports, code.tunnel)
    now = ports.clock.now()
    wireguard_private, wireguard_public = wireguard_key.new_keypair()
    host_private, host_public = ssh_key.new_keypair("support session")
    offer = DeviceOffer.make(
        code,
        scope=wish.scope,
        max_ttl=wish.ttl,
        name=wish.name,
        wireguard_public=wireguard_public,
        ssh_host_key=host_public,
        now=now,
        transports=wish.transports,
        allow_classical=wish.allow_classical,
    )
    record = Record(
        stage="requested",
        device_token=Secret(secrets.token_urlsafe(32)),
        requested=now,
        until=now + timedelta(seconds=wish.patience),
        scope=wish.scope,
        ttl=wish.ttl,
        approved_for=approved_for,
    )
    # Written before the API hears of it: a killed tool leaves enough to withdraw the request.
    save_record(ports.vault, code.tunnel, record)
    ports.journal.append(code.tunnel, "requested", {"scope": wish.scope.level, "ttl": wish.ttl, "tunnel": code.tunnel})
    mailbox = ports.mailbox_for(record.device_token)
    mailbox.open(code.tunnel, offer.message, claim=code.claim, ttl=wish.patience + wish.ttl)
    return Requested(offer, mailbox, record, wireguard_private, host_private)
