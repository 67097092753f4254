"""What is going on, for the owner: one row a tunnel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from support_tunnel.core.errors import SupportTunnelError, UsageError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.scope import Scope
from support_tunnel.desired import probes
from support_tunnel.flows.device.clean_up import known_tunnels
from support_tunnel.flows.device.keep_request import is_kept
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import Record, load_record

__all__ = ["TunnelStatus", "status"]


@dataclass(frozen=True, slots=True)
class TunnelStatus:
    """`state`: requested, answered (the owner is, or can be, asked), opening, active, or orphaned.

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


def status(ports: DevicePorts) -> list[TunnelStatus]:
    return [_row(ports, tunnel) for tunnel in known_tunnels(ports)]


def _row(ports: DevicePorts, tunnel: TunnelId) -> TunnelStatus:
    try:
        record = load_record(ports.vault, tunnel)
    except UsageError as damaged:
        ports.progress.note(f"{damaged.message}.")
        record = None
    if record is None:
        return TunnelStatus(tunnel, "orphaned")
    state, waits, limits = record.stage, is_kept(ports, tunnel), ""
    if state == "active":
        units = probes.read(ports.shell, probes.session_state(Names(tunnel)), timeout=20)
        state = "active" if units.get("keeper") == "active" else "orphaned"
        limits = probes.read(ports.shell, probes.limits(Names(tunnel)), timeout=20).get("limit", "")
    elif waits and _is_answered(ports, tunnel, record):
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
    )


def _is_answered(ports: DevicePorts, tunnel: TunnelId, record: Record) -> bool:
    """What the API says, which may be away, and may lie: the answer is opened only when the owner looks at it."""
    try:
        blobs = ports.mailbox_for(record.device_token, patient=False).messages(tunnel, after=0, wait=0)
    except SupportTunnelError:
        return False
    return any(blob.slot == "answer" for blob in blobs)
