"""The admin's whole job in one verb: read the offer, launch, answer, confirm, connect. Interrupted, it tears down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LedgerEntry, Mailbox
from support_tunnel.core.secret import Secret
from support_tunnel.core.session_wish import identity
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.payloads import Path
from support_tunnel.flows.admin.coordinate import coordinate, require_programs
from support_tunnel.flows.admin.finish import Answered, finish
from support_tunnel.flows.admin.launch import Launched, launch
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import CLAIM, IDENTITY, SESSION_KEY, STATE, save_channel, save_reached
from support_tunnel.flows.admin.spending import rent
from support_tunnel.flows.admin.stop import tear_down

__all__ = ["PATIENCE", "Answered", "create_server"]

PATIENCE = 1800
"""Seconds for the device to take up the answer: at once where a tool waits for it, later where the owner left it waiting."""


def create_server(
    ports: AdminPorts,
    code: Code,
    *,
    name: str,
    max_ttl: int | None,
    read_aloud: Callable[[str], None],
    ticket: str = "",
    patience: int = PATIENCE,
) -> Answered:
    """Answer one request with a fresh server; `read_aloud` is given the six digits when there are some.

    `name` is how the owner sees this admin; `max_ttl` seconds, None for what is usual; `ticket` goes into the
    session's certificate. `patience` seconds from now the device must have taken the answer up; the server lives as long, and
    for the session. Raises UsageError `tunnel.minutes`, `cost.unknown`; WrongState `tunnels.full`, `cost.cap`, and when the tunnel is unknown, answered by
    someone else or already in this admin's ledger.
    """
    tunnel = code.tunnel
    named = identity(tunnel, name, ticket)
    if ports.ledger.read(tunnel) is not None:
        raise WrongState(
            "tunnel.known",
            f"you already have tunnel {tunnel[:8]}",
            next_step=f"Use `fab connect {tunnel[:8]}`, or end it with `fab stop {tunnel[:8]}`.",
        )
    signer = ports.signer()
    mailbox = ports.mailbox_for(code.claim)
    ports.progress.step("Reading the request")
    offer = _read_offer(ports, code, mailbox)
    if offer.offer.transports == ("headscale",):
        require_programs(ports)  # before anything is made
    ttl = ports.limits.seconds(max_ttl, offer.offer.max_ttl)
    now = ports.clock.now()
    entry = LedgerEntry(
        tunnel=tunnel,
        cloud=ports.cloud,
        stage="intended",
        created=now,
        expires=now + timedelta(seconds=ttl + patience),
        device_name=offer.offer.name,
    )
    with ports.vault.hold(tunnel):
        try:
            with ports.vault.turn():  # two tools at the last place
                ports.limits.require_room(_others(ports), "in your ledger")
                rent(ports, entry)
                ports.ledger.write(entry)
            ports.vault.put(tunnel, CLAIM, code.claim)
            if ports.certifier is not None:
                ports.vault.put(tunnel, IDENTITY, Secret(named.encode()))
            launched = launch(ports, code, entry, offer.offer.transports, coordinated=_coordinated(ports, offer))
            try:
                launched, paths = _paths(ports, entry, launched, offer)
                session_private, session_public = ssh_key.new_keypair(f"support session {tunnel[:8]}")
                ports.vault.put(tunnel, SESSION_KEY, Secret(session_private.reveal().encode()))
                session = offer.answer(
                    paths=paths,
                    ssh_keys=(session_public,),
                    scope=offer.offer.scope,
                    ttl=ttl,
                    name=name,
                    signer=signer,
                )
                return _answer(ports, tunnel, mailbox, session, launched, read_aloud)
            finally:
                launched.shell.close()
        except BaseException:
            tear_down(ports, tunnel)
            raise


def _others(ports: AdminPorts) -> int:
    try:
        return len(ports.ledger.entries())
    except UsageError:
        return 0  # an older tunnel's damaged file, which `unfinished` tells of, keeps nobody from helping


def _paths(
    ports: AdminPorts, entry: LedgerEntry, launched: Launched, offer: AdminOffer
) -> tuple[Launched, tuple[Path, ...]]:
    """The ways that the owner offered, WireGuard first: it has the preshared key, and needs no third program."""
    paths: list[Path] = [*launched.by_wireguard]
    if _coordinated(ports, offer):
        launched, path = coordinate(ports, entry, launched)
        paths.append(path)
    return launched, tuple(paths)


def _coordinated(ports: AdminPorts, offer: AdminOffer) -> bool:
    """Whether the server is to be a Headscale: the owner offered it, and we have its programs or no other way."""
    offered = offer.offer.transports
    return "headscale" in offered and (ports.programs() is not None or set(offered) == {"headscale"})


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
    launched: Launched,
    read_aloud: Callable[[str], None],
) -> Answered:
    # On tmpfs before it is posted: after a crash the identical bytes can be posted again, never other ones (2.3).
    ports.vault.put(tunnel, STATE, session.dump())
    save_channel(ports.vault, tunnel, session.channel())
    save_reached(ports.vault, tunnel, launched.reached)
    entry = ports.ledger.read(tunnel)
    if entry is None:
        raise WrongState(
            "ledger.gone", "the ledger entry of this tunnel was removed meanwhile", next_step="Ask for a new code."
        )
    entry = replace(entry, stage="answered")
    ports.ledger.write(entry)
    return finish(ports, entry, mailbox, session, launched.reached, launched.shell, read_aloud)
