"""Find sessions that nobody watches any more and end them: after a killed tool, a power cut, a crash."""

from __future__ import annotations

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.desired import probes
from support_tunnel.flows.device.end_session import end_session, note_reason
from support_tunnel.flows.device.keep_request import is_kept
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.record import load_record
from support_tunnel.flows.teardown import Teardown

__all__ = ["clean_up", "known_tunnels"]


def known_tunnels(ports: DevicePorts) -> list[TunnelId]:
    """Every tunnel this device shows any trace of.

    A trace gives 8 digits; where the vault no longer knows the rest, zeros stand for it: every name on the device is made
    of the 8 alone.
    """
    try:
        whole = {tunnel[:8]: tunnel for tunnel in ports.vault.tunnels()}
    except UsageError as damaged:
        ports.progress.note(f"Looking for sessions by their names alone: {damaged.message}.")
        whole = {}
    shorts = probes.read(ports.shell, probes.traces(), timeout=20).get("short", "").split()
    return [whole.get(short, TunnelId(short + "0" * 24)) for short in sorted({*shorts, *whole})]


def clean_up(ports: DevicePorts) -> list[TunnelId]:
    """End what is orphaned and return it; a session with a live keeper, a request that waits, or a tool at work is left alone.

    One that does not end keeps none of the others from ending; its error is raised after them.
    """
    ended, ending = [], Teardown()
    for tunnel in known_tunnels(ports):
        with ending.step():
            if not _is_watched(ports, tunnel) and _cleaned(ports, tunnel):
                ended.append(tunnel)
    ending.raise_first()
    return ended


def _is_watched(ports: DevicePorts, tunnel: TunnelId) -> bool:
    if is_kept(ports, tunnel):
        return True
    if probes.read(ports.shell, probes.session_state(Names(tunnel)), timeout=20).get("keeper") != "active":
        return False
    try:
        record = load_record(ports.vault, tunnel)
    except UsageError:
        return False  # a keeper that is started again could not go by it either
    return record is not None and record.stage == "active" and ports.clock.now() < record.until


def _cleaned(ports: DevicePorts, tunnel: TunnelId) -> bool:
    try:
        with ports.vault.hold(tunnel):
            note_reason(ports, tunnel, "found without a keeper and cleaned up")
            end_session(ports, tunnel)
            return True
    except WrongState as busy:
        if busy.code != "tunnel.busy":
            raise
        return False
