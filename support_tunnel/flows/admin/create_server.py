"""The admin's whole job in one verb: read the offer, launch, answer, confirm, connect. Interrupted, it tears down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from support_tunnel.core import addressing, ssh_key
from support_tunnel.core.errors import HostError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob, Hops, LedgerEntry, Mailbox
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.admin import AdminOffer, AdminSession
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.payloads import Path as TunnelPath
from support_tunnel.flows.admin.launch import LOGIN_USER, Launched, launch, server_variables
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import CLAIM, SESSION_KEY, STATE, save_channel
from support_tunnel.flows.admin.stop import stop
from support_tunnel.flows.teardown import Teardown

__all__ = ["Answered", "create_server"]

CONFIRM_PATIENCE = 60.0
"""Seconds for the device's tool to confirm the keys; no person is involved yet."""
READY_PATIENCE = 1800.0
"""Seconds for the owner to read, listen and decide: three questions of ten minutes."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How it went. `answer_to_connected` is seconds from posting the answer to the device's READY."""

    device: str
    digits: str
    user: str
    until: datetime
    server_address: str
    answer_to_connected: float


def create_server(
    ports: AdminPorts, code: Code, *, name: str, max_ttl: int | None, read_aloud: Callable[[str], None]
) -> Answered:
    """Answer one request with a fresh server; `read_aloud` is given the six digits when there are some.

    `name` is how the owner sees this admin; `max_ttl` seconds, None for all that is offered. Raises WrongState when the
    tunnel is unknown, answered by someone else or already in this admin's ledger.
    """
    tunnel = code.tunnel
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
    ttl = min(offer.offer.max_ttl, max_ttl or offer.offer.max_ttl)
    now = ports.clock.now()
    entry = LedgerEntry(
        tunnel=tunnel,
        cloud=ports.cloud,
        stage="intended",
        created=now,
        expires=now + timedelta(seconds=ttl + READY_PATIENCE),
        device_name=offer.offer.name,
    )
    with ports.vault.hold(tunnel):
        try:
            ports.ledger.write(entry)
            ports.vault.put(tunnel, CLAIM, code.claim)
            launched = launch(ports, code, entry)
            try:
                session_private, session_public = ssh_key.new_keypair(f"support session {tunnel[:8]}")
                ports.vault.put(tunnel, SESSION_KEY, Secret(session_private.reveal().encode()))
                session = offer.answer(
                    paths=(TunnelPath(launched.endpoint, launched.wireguard_public),),
                    ssh_keys=(session_public,),
                    scope=offer.offer.scope,
                    ttl=ttl,
                    name=name,
                    signer=signer,
                )
                return _answer(ports, code, mailbox, session, launched, read_aloud)
            finally:
                launched.shell.close()
        except BaseException:
            _tear_down(ports, tunnel)
            raise


def _tear_down(ports: AdminPorts, tunnel: TunnelId) -> None:
    """Undo the launch while another error is on its way up: that one stays the one that is reported."""
    ending = Teardown()
    with ending.step():
        stop(ports, tunnel)
    for left in ending.failures:
        ports.progress.note(f"Not everything could be removed: {left}. `fab sweep` tries again.")


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
    code: Code,
    mailbox: Mailbox,
    session: AdminSession,
    launched: Launched,
    read_aloud: Callable[[str], None],
) -> Answered:
    tunnel = code.tunnel
    # On tmpfs before it is posted: after a crash the identical bytes can be posted again, never other ones (2.3).
    ports.vault.put(tunnel, STATE, session.dump())
    save_channel(ports.vault, tunnel, session.channel())
    entry = ports.ledger.read(tunnel)
    if entry is None:
        raise WrongState(
            "ledger.gone", "the ledger entry of this tunnel was removed meanwhile", next_step="Ask for a new code."
        )
    entry = replace(entry, stage="answered")
    ports.ledger.write(entry)
    ports.progress.step("Handing the tunnel's key to the server")
    # Before the answer is out: a device whose first handshake finds no key waits five seconds for the next
    # (docs/decisions/0002). The key is worth nothing until a device confirms this very answer.
    ports.library.converge(
        launched.shell,
        ("tunnel_server",),
        server_variables(code, launched.wireguard_port, launched.expires, launched.lifetime)
        | {
            "tunnel_server_peer_public_key": session.offer.wireguard_public,
            "tunnel_server_peer_psk": session.psk_base64,
        },
        host="the tunnel server",
        timeout=60,
    )
    ports.progress.step("Answering")
    mailbox.post(tunnel, "answer", session.message)
    posted = ports.clock.monotonic()

    confirm = _await(ports, code, mailbox, "confirm", CONFIRM_PATIENCE)
    digits = session.read_confirm(confirm.data, now=ports.clock.now(), allow_skew=ports.accepted.skew)
    read_aloud(digits)
    ports.progress.step("Waiting for the owner's consent")
    ready = session.read_ready(_await(ports, code, mailbox, "ready", READY_PATIENCE).data)
    took = ports.clock.monotonic() - posted
    ports.door.prepare(
        tunnel,
        Hops(
            server_address=launched.server.address,
            server_user=LOGIN_USER,
            server_host_key=launched.host_key,
            device_address=str(addressing.device_address(code.network)),
            device_port=addressing.SESSION_PORT,
            device_user=ready.user,
            device_host_key=session.offer.ssh_host_key,
        ),
    )
    ports.ledger.write(replace(entry, stage="connected", expires=ready.until))
    return Answered(session.offer.name, digits, ready.user, ready.until, launched.server.address, took)


def _await(ports: AdminPorts, code: Code, mailbox: Mailbox, slot: str, seconds: float) -> Blob:
    deadline, seen = ports.clock.monotonic() + seconds, 0
    while (left := deadline - ports.clock.monotonic()) > 0:
        for blob in mailbox.messages(code.tunnel, after=seen, wait=min(25.0, left)):
            seen = blob.number
            if blob.slot == slot:
                return blob
    raise HostError(
        "device.silent",
        f"the device sent no {slot} within {seconds:g} seconds",
        next_step="Ask the owner for a new code.",
    )
