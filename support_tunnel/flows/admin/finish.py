"""From the answer to the connection: what `create-tunnel-server` does last, and `resume` does again after a crash.

Everything here may be repeated: the role changes nothing the second time, the API keeps one copy of identical bytes, and
reading a message again gives the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from support_tunnel.core.errors import ConsentRefused, HostError, MessageError
from support_tunnel.core.invitation import Invitation
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob, LedgerEntry, Mailbox
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.paths import Transport
from support_tunnel.flows.admin.certify import certify
from support_tunnel.flows.admin.meeting import Meeting, over_at
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import load_channel
from support_tunnel.flows.listening import Listening

__all__ = ["Answered", "finish"]

READY_PATIENCE = timedelta(minutes=30)
"""For the owner to read, listen and decide: three questions of ten minutes."""
SILENCE = timedelta(minutes=1)
"""A device whose tool waits takes the answer up sooner; where the owner has left, the person here is told what is going on."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How it went. `until`: neither the session nor its server is there any longer. `answer_to_connected` is seconds from
    posting the answer to the device's READY."""

    device: str
    digits: str
    user: str
    until: datetime
    server_address: str
    answer_to_connected: float
    transport: Transport = "wireguard"
    way: str = ""
    """By WireGuard `udp` or `udp-443`; along Headscale `direct` or `relay`, empty where the server cannot tell."""
    invitations: tuple[Invitation, ...] = ()
    """Of the helpers besides the admin."""


def finish(
    ports: AdminPorts,
    entry: LedgerEntry,
    mailbox: Mailbox,
    session: AdminSession,
    meeting: Meeting,
    read_aloud: Callable[[str], None],
) -> Answered:
    """Have the meeting place ready, post the answer, hear the device out.

    Raises ConsentRefused when the owner says no, HostError, WrongState, MessageError.
    """
    tunnel, paths = entry.tunnel, session.answer.paths
    meeting.prepare(session)
    ports.progress.step("Answering")
    mailbox.post(tunnel, "answer", session.message)
    posted = ports.clock.monotonic()

    ports.progress.step("Waiting for the device to take up the answer")
    # Later, and the session would be cut off by the end of its server (2.16).
    latest = entry.expires - timedelta(seconds=session.answer.ttl)
    confirm = _await(ports, entry, mailbox, "confirm", latest, in_silence=_left(entry.tunnel, latest))
    digits = session.read_confirm(confirm.data, now=ports.clock.now(), allow_skew=ports.accepted.skew)
    # Before anybody speaks: without it a device of an organisation would let nobody in, whatever its owner says.
    certify(ports, session, meeting.reached)
    read_aloud(digits)
    ports.progress.step("Waiting for the owner's consent")
    latest = min(entry.expires, ports.clock.now() + READY_PATIENCE)
    ready = session.read_ready(_await(ports, entry, mailbox, "ready", latest).data)
    took = ports.clock.monotonic() - posted
    transport = paths[ready.path].transport
    ports.door.prepare(tunnel, meeting.hops(session, ready))
    until = over_at(session, ready, entry.expires)
    ports.ledger.write(replace(entry, stage="connected", expires=until))
    settled = meeting.settled(session, ready)
    return Answered(
        device=session.offer.name,
        digits=digits,
        user=ready.user,
        until=until,
        server_address=entry.server_address or entry.headscale,
        answer_to_connected=took,
        transport=transport,
        way=settled.way,
        invitations=settled.invitations,
    )


def _left(tunnel: TunnelId, latest: datetime) -> str:
    return (
        f"Nobody has taken the answer up yet. An owner who has left goes on with `inv approve {tunnel[:8]}`. "
        f"This waits until {latest:%Y-%m-%d %H:%M} UTC, then the server is taken down."
    )


def _await(
    ports: AdminPorts, entry: LedgerEntry, mailbox: Mailbox, slot: str, latest: datetime, *, in_silence: str = ""
) -> Blob:
    """The message, if it is there by `latest`; the mailbox is looked at once also when that has passed."""
    listening = Listening(mailbox, entry.tunnel, ports.clock, ports.progress)
    began, left = ports.clock.now(), 1.0
    while left > 0:
        left = (latest - ports.clock.now()).total_seconds()
        for blob in listening.next(left):
            if blob.slot == slot:
                return blob
            if blob.slot == "control-device":
                _refuse_the_end(ports, entry, blob)
        if in_silence and ports.clock.now() - began >= SILENCE:
            ports.progress.note(in_silence)
            in_silence = ""
    if listening.away:
        raise listening.away
    raise HostError(
        "device.silent",
        f"the device sent no {slot} by {latest:%Y-%m-%d %H:%M} UTC",
        next_step="Ask the owner for a new code.",
    )


def _refuse_the_end(ports: AdminPorts, entry: LedgerEntry, blob: Blob) -> None:
    """Raise ConsentRefused `consent.declined` or HostError `device.stopped` when the device says so; others cannot."""
    channel = load_channel(ports.vault, entry.tunnel)
    try:
        said = channel.receive(blob.data).kind if channel else ""
    except MessageError:
        return  # forged or repeated by the API: it changes nothing
    if said == "declined":
        raise ConsentRefused(
            "consent.declined", "the owner did not let you in; nothing was opened", next_step="Talk to the owner."
        )
    if said == "stopped":
        raise HostError(
            "device.stopped",
            "the device could not open the session, and has ended it",
            next_step="The owner's screen says why; ask them for a new code.",
        )
