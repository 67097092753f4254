"""Watch a running session: the earliest of three clocks, the admin's stop, who logs in, and a sign of life with the log's head.

It only watches and returns the reason; whoever started it ends the session (ExecStopPost of the keeper's unit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from support_tunnel.core.errors import MessageError, SupportTunnelError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob, Clock, Mailbox
from support_tunnel.core.st1.control import Channel
from support_tunnel.flows.device.note_logins import note_logins
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record, load_channel, load_record, save_channel

__all__ = ["TIME_OVER", "Deadlines", "keep", "wait_until_over"]

LOOK = 5.0
"""Longest seconds between two looks at the clocks: a suspended machine that wakes late still ends within this."""

SIGN_OF_LIFE = 30.0

TIME_OVER = "the time you allowed is over"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """When a session ends, by each of three clocks: the earliest decides, so a clock that is set, or stops, buys nothing."""

    until: datetime
    monotonic: float
    boottime: float

    @classmethod
    def of(cls, record: Record, clock: Clock) -> Deadlines:
        left = (record.until - clock.now()).total_seconds()
        return cls(record.until, clock.monotonic() + left, record.boottime_limit)

    def left(self, clock: Clock) -> float:
        """Seconds; 0 or less when it is over."""
        return min(
            self.monotonic - clock.monotonic(),
            self.boottime - clock.boottime(),
            (self.until - clock.now()).total_seconds(),
        )


def wait_until_over(deadlines: Deadlines, clock: Clock) -> None:
    """Look at the clocks and at nothing else: an API that keeps `keep` waiting must not lengthen a session (2.1)."""
    while (left := deadlines.left(clock)) > 0:
        clock.pause(min(LOOK, left))


def keep(ports: DevicePorts, tunnel: TunnelId) -> str:
    """Block until the session must end; return why, in words for the log."""
    record = load_record(ports.vault, tunnel)
    channel = load_channel(ports.vault, tunnel)
    if record is None or channel is None:
        return "nothing to keep"
    mailbox = ports.mailbox_for(record.device_token)
    deadlines = Deadlines.of(record, ports.clock)
    seen, next_sign = 0, ports.clock.monotonic() + SIGN_OF_LIFE
    while True:
        left = deadlines.left(ports.clock)
        if left <= 0:
            return TIME_OVER
        for blob in _look(ports, tunnel, mailbox, after=seen, wait=min(LOOK, left)):
            seen = blob.number
            if blob.slot == "control-admin" and _is_stop(channel, blob.data):
                return "the helper ended it"
        if ports.clock.monotonic() >= next_sign:
            next_sign = ports.clock.monotonic() + SIGN_OF_LIFE
            _note_logins(ports, tunnel)
            _sign(ports, tunnel, mailbox, channel)


def _look(ports: DevicePorts, tunnel: TunnelId, mailbox: Mailbox, *, after: int, wait: float) -> Sequence[Blob]:
    try:
        return mailbox.messages(tunnel, after=after, wait=wait)
    except SupportTunnelError:
        # Away, closed, forgotten, refused: the API may do all that, and it may not end a session by any of it (2.1).
        ports.clock.pause(wait)
        return ()


def _is_stop(channel: Channel, data: bytes) -> bool:
    try:
        return channel.receive(data).kind == "stop"
    except MessageError:
        return False  # forged, replayed or reflected by the API: it changes nothing


def _note_logins(ports: DevicePorts, tunnel: TunnelId) -> None:
    """Before the sign of life, which carries the log's head to the helper. Until it is active, the tool that opens it writes the log."""
    record = load_record(ports.vault, tunnel)
    if record is not None and record.stage == "active":
        note_logins(ports, tunnel, record)


def _sign(ports: DevicePorts, tunnel: TunnelId, mailbox: Mailbox, channel: Channel) -> None:
    blob = channel.send("ping", ports.journal.head(tunnel), now=ports.clock.now())
    # The counter is on tmpfs before the message is out: it never goes back, whoever sends the next one.
    save_channel(ports.vault, tunnel, channel)
    try:
        mailbox.post(tunnel, "control-device", blob)
    except SupportTunnelError as unheard:
        ports.progress.note(f"The API did not take a sign of life: {unheard.message}")
