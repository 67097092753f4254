"""The admin's whole job in one verb: read the offer, launch, answer, confirm, connect. Interrupted, it tears down."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LedgerEntry, Mailbox
from support_tunnel.core.secret import Secret
from support_tunnel.core.session_wish import identity
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.payloads import Path
from support_tunnel.core.st1.people import Helper
from support_tunnel.flows.admin.coordinate import require_coordinating
from support_tunnel.flows.admin.finish import Answered, finish
from support_tunnel.flows.admin.meeting import Meeting, require_fitting
from support_tunnel.flows.admin.own_server import set_up
from support_tunnel.flows.admin.ports import AdminPorts, Standing
from support_tunnel.flows.admin.record import CLAIM, IDENTITY, SESSION_KEY, STATE, save_channel, save_reached
from support_tunnel.flows.admin.spending import rent
from support_tunnel.flows.admin.standing_server import require_place, require_standing, settle
from support_tunnel.flows.admin.stop import tear_down

__all__ = ["PATIENCE", "Answered", "Terms", "Where", "create_server"]

Where = Literal["own", "standing", "either"]

PATIENCE = 1800
"""Seconds for the device to take up the answer: at once where a tool waits for it, later where the owner left it waiting."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What an admin decides about an answer.

    `name` is how the owner sees this admin; `max_ttl` seconds, None for what is usual; `ticket` goes into the session's certificate.
    `patience` seconds from now the device must have taken the answer up; the server lives as long, and for the session. `server`:
    `either` is the standing one where there is one and the owner offers Headscale. `helpers` come along Headscale, with keys of their
    own; `only_ports` of those that the owner offers.
    """

    name: str
    max_ttl: int | None = None
    ticket: str = ""
    patience: int = PATIENCE
    server: Where = "own"
    helpers: Sequence[Helper] = ()
    only_ports: Sequence[int] | None = None


def create_server(
    ports: AdminPorts,
    code: Code,
    terms: Terms,
    *,
    read_aloud: Callable[[str], None],
    require_own: Callable[[], None] = lambda: None,
) -> Answered:
    """Answer one request with a fresh server, or on the standing one; `read_aloud` is given the six digits when there are some.

    `require_own` raises what keeps this machine from launching one, and is called where one is to be. Raises UsageError
    `tunnel.minutes`, `cost.unknown` and what does not fit; WrongState `tunnels.full`, `cost.cap`, and when the tunnel is unknown,
    answered by someone else or already in this admin's ledger.
    """
    tunnel = code.tunnel
    named = identity(tunnel, terms.name, terms.ticket)
    _require_new(ports, tunnel)
    signer = ports.signer()
    mailbox = ports.mailbox_for(code.claim)
    ports.progress.step("Reading the request")
    offer = _read_offer(ports, code, mailbox)
    standing = _place(ports, code, terms, offer, require_own)
    ttl = ports.limits.seconds(terms.max_ttl, offer.offer.max_ttl)
    entry = _entry(ports, code, terms, offer, standing, ttl)
    with ports.vault.hold(tunnel):
        try:
            with ports.vault.turn():  # two tools at the last place
                ports.limits.require_room(_others(ports), "in your ledger")
                if standing is None:
                    rent(ports, entry)
                ports.ledger.write(entry)
            if standing is None:
                ports.vault.put(tunnel, CLAIM, code.claim)
            if ports.certifier is not None:
                ports.vault.put(tunnel, IDENTITY, Secret(named.encode()))
            meeting: Meeting
            paths: tuple[Path, ...]
            if standing:
                meeting, paths = settle(ports, code, entry, standing, terms.name, tuple(terms.helpers))
                # Only now: with the claim an end closes the mailbox, and what is refused here may be tried again by the same code.
                ports.vault.put(tunnel, CLAIM, code.claim)
            else:
                meeting, paths = set_up(ports, code, entry, offer, terms.helpers)
            try:
                session_private, session_public = ssh_key.new_keypair(f"support session {tunnel[:8]}")
                ports.vault.put(tunnel, SESSION_KEY, Secret(session_private.reveal().encode()))
                session = offer.answer(
                    paths=paths,
                    ssh_keys=(session_public,),
                    scope=offer.offer.scope,
                    ttl=ttl,
                    name=terms.name,
                    signer=signer,
                    helpers=terms.helpers,
                    ports=terms.only_ports,
                )
                return _answer(ports, tunnel, mailbox, session, meeting, read_aloud)
            finally:
                meeting.close()
        except BaseException:
            tear_down(ports, tunnel)
            raise


def _require_new(ports: AdminPorts, tunnel: TunnelId) -> None:
    if ports.ledger.read(tunnel) is not None:
        raise WrongState(
            "tunnel.known",
            f"you already have tunnel {tunnel[:8]}",
            next_step=f"Use `fab connect {tunnel[:8]}`, or end it with `fab stop {tunnel[:8]}`.",
        )


def _place(
    ports: AdminPorts, code: Code, terms: Terms, offer: AdminOffer, require_own: Callable[[], None]
) -> Standing | None:
    """The standing server, or None for one of the tunnel's own; whatever does not fit is refused before anything is made."""
    organised = ports.certifier is not None
    require_fitting(offer.offer, terms.name, terms.helpers, terms.only_ports, organised=organised)
    standing = _standing(ports, terms.server, offer)
    if standing is not None:
        require_place(ports, standing, code)
        return standing
    if terms.helpers or offer.offer.transports == ("headscale",):
        require_coordinating(ports)
    require_own()
    return None


def _entry(
    ports: AdminPorts, code: Code, terms: Terms, offer: AdminOffer, standing: Standing | None, ttl: int
) -> LedgerEntry:
    now = ports.clock.now()
    return LedgerEntry(
        tunnel=code.tunnel,
        cloud="" if standing else ports.cloud,
        stage="intended",
        created=now,
        expires=now + timedelta(seconds=ttl + terms.patience),
        device_name=offer.offer.name,
        headscale=standing.url if standing else "",
        ticket=terms.ticket,
        nonce=secrets.token_hex(4) if standing else "",
    )


def _standing(ports: AdminPorts, server: Where, offer: AdminOffer) -> Standing | None:
    """Raises UsageError `headscale.standing`, `headscale.not-offered`."""
    offered = "headscale" in offer.offer.transports
    if server == "own" or (server == "either" and not offered):
        return None
    if server == "either":
        return ports.standing()
    if not offered:
        raise UsageError(
            "headscale.not-offered",
            "the owner does not offer the transport headscale, the only one to a standing server",
            next_step="Use --server own, or ask the owner for a request with --transport headscale --pq prefer.",
        )
    return require_standing(ports)


def _others(ports: AdminPorts) -> int:
    try:
        return len(ports.ledger.entries())
    except UsageError:
        return 0  # an older tunnel's damaged file, which `unfinished` tells of, keeps nobody from helping


def _read_offer(ports: AdminPorts, code: Code, mailbox: Mailbox) -> AdminOffer:
    blobs = mailbox.messages(code.tunnel, after=0, wait=0)
    if any(blob.slot == "answer" for blob in blobs):
        raise WrongState(
            "answer.late", "this request has been answered already", next_step="Ask the owner for a new code."
        )
    for blob in blobs:
        if blob.slot == "offer":
            return AdminOffer.open(code, blob.data, allow_classical=ports.accepted.classical)
    raise WrongState(
        "tunnel.unknown", "the API holds no offer under this code", next_step="Ask the owner for a new code."
    )


def _answer(
    ports: AdminPorts,
    tunnel: TunnelId,
    mailbox: Mailbox,
    session: AdminSession,
    meeting: Meeting,
    read_aloud: Callable[[str], None],
) -> Answered:
    # On tmpfs before it is posted: after a crash the identical bytes can be posted again, never other ones (2.3).
    ports.vault.put(tunnel, STATE, session.dump())
    save_channel(ports.vault, tunnel, session.channel())
    save_reached(ports.vault, tunnel, meeting.reached)
    entry = ports.ledger.read(tunnel)
    if entry is None:
        raise WrongState(
            "ledger.gone", "the ledger entry of this tunnel was removed meanwhile", next_step="Ask for a new code."
        )
    entry = replace(entry, stage="answered")
    ports.ledger.write(entry)
    return finish(ports, entry, mailbox, session, meeting, read_aloud)
