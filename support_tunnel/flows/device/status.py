"""What is going on, for the owner: one row a tunnel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import Mailbox
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.people import Helper
from support_tunnel.desired import probes
from support_tunnel.flows.device.clean_up import known_tunnels
from support_tunnel.flows.device.keep_request import is_kept
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record, load_record

__all__ = ["TunnelStatus", "status"]


@dataclass(frozen=True, slots=True)
class TunnelStatus:
    """`state`: requested, answered (`approve` shows who), asking (the question is on a screen), opening, active, orphaned.

    Orphaned: traces without a watcher, or what we kept is damaged; `inv gc` ends it.
    """

    tunnel: TunnelId
    state: str
    admin: str = ""
    fingerprint: str = ""
    scope: Scope | None = None
    ttl: int = 0
    """Seconds that were offered, or granted."""
    approved: bool = False
    waits: bool = False
    """No tool is at work on it: `approve` or `connect` goes on with it."""
    until: datetime | None = None
    limits: tuple[str, ...] = ()
    """Of an active session: which of its unit's limits this system enforces (2.9)."""
    helpers: tuple[Helper, ...] = ()
    """Who is let in, or asks to be, besides the admin."""


def status(ports: DevicePorts) -> list[TunnelStatus]:
    look = _Look(ports)
    return [_row(ports, tunnel, look) for tunnel in known_tunnels(ports)]


def _row(ports: DevicePorts, tunnel: TunnelId, look: _Look) -> TunnelStatus:
    try:
        record = load_record(ports.vault, tunnel)
    except UsageError as damaged:
        ports.progress.note(f"{damaged.message}.")
        record = None
    if record is None:
        return TunnelStatus(tunnel, "orphaned")
    waits = is_kept(ports, tunnel)
    state, limits = _STATES.get(record.stage, record.stage), ""
    if state == "active":
        units = probes.read(ports.shell, probes.session_state(Names(tunnel)), timeout=20)
        state = "active" if units.get("keeper") == "active" else "orphaned"
        limits = probes.read(ports.shell, probes.limits(Names(tunnel)), timeout=20).get("limit", "")
    elif waits and look.is_answered(tunnel, record):
        state = "answered"
    return TunnelStatus(
        tunnel,
        state,
        record.admin_name,
        record.admin_fingerprint,
        record.scope,
        record.ttl,
        record.approved,
        waits,
        record.until,
        tuple(limits.split()),
        record.helpers,
    )


_STATES = {"answered": "asking"}
"""An answer that was confirmed: whoever holds the tunnel is asking the owner."""


class _Look:
    """Into the mailboxes of requests that wait. An API that is away is asked once, not once for each of them."""

    def __init__(self, ports: DevicePorts) -> None:
        self._ports = ports
        self._away = False

    def is_answered(self, tunnel: TunnelId, record: Record) -> bool:
        """What the API says, which may lie: the answer is opened only when the owner looks at it."""
        if self._away:
            return False
        try:
            return self._sees_answer(self._ports.mailbox_for(record.device_token, patient=False), tunnel)
        except HostError:
            self._away = True
        except SupportTunnelError:
            pass  # closed or unknown: nobody can go on with it, and whoever tries is told why
        return False

    def _sees_answer(self, mailbox: Mailbox, tunnel: TunnelId) -> bool:
        blobs = mailbox.messages(tunnel, after=0, wait=0)
        if not any(blob.slot == "answer" for blob in blobs):
            return False
        mailbox.messages(tunnel, after=blobs[-1].number, wait=0)  # raises WrongState when the helper has given up
        return True
