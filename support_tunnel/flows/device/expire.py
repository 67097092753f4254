"""End a request that nobody answered in time: what the timer of a request that waits calls."""

from __future__ import annotations

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.flows.device.admit import NOBODY_CAME
from support_tunnel.flows.device.end_session import end_session, note_reason
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import load_record

__all__ = ["expire"]


def expire(ports: DevicePorts, tunnel: TunnelId) -> bool:
    """Whether it was ended. One that was answered meanwhile, or that a tool holds, has an end of its own and is left alone."""
    try:
        with ports.vault.hold(tunnel):
            # Looked at under the lock: between the timer and this line the owner may have let somebody in.
            if not _still_waits(ports, tunnel):
                return False
            note_reason(ports, tunnel, NOBODY_CAME)
            end_session(ports, tunnel)
            return True
    except WrongState as busy:
        if busy.code != "tunnel.busy":
            raise
        return False


def _still_waits(ports: DevicePorts, tunnel: TunnelId) -> bool:
    try:
        record = load_record(ports.vault, tunnel)
    except UsageError:
        return False  # what is damaged is ended by `gc`, by its names
    return record is not None and record.stage == "requested"
