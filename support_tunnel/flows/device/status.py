"""What is going on, for the owner: one row a tunnel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.desired import probes
from support_tunnel.flows.device.clean_up import known_tunnels
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import load_record

__all__ = ["TunnelStatus", "status"]


@dataclass(frozen=True, slots=True)
class TunnelStatus:
    """`state`: requested, opening, active, or orphaned (traces without a watcher, or what we kept is damaged; `inv gc` ends it)."""

    tunnel: TunnelId
    state: str
    admin: str = ""
    fingerprint: str = ""
    scope: str = ""
    until: datetime | None = None


def status(ports: DevicePorts) -> list[TunnelStatus]:
    rows = []
    for tunnel in known_tunnels(ports):
        try:
            record = load_record(ports.vault, tunnel)
        except UsageError as damaged:
            ports.progress.note(f"{damaged.message}.")
            record = None
        if record is None:
            rows.append(TunnelStatus(tunnel, "orphaned"))
            continue
        state = record.stage
        if state == "active":
            units = probes.read(ports.shell, probes.session_state(Names(tunnel)), timeout=20)
            state = "active" if units.get("keeper") == "active" else "orphaned"
        rows.append(
            TunnelStatus(tunnel, state, record.admin_name, record.admin_fingerprint, record.scope, record.until)
        )
    return rows
