"""Keep off what others have: a session is made only where nothing has its names yet (05, test 53)."""

from __future__ import annotations

from support_tunnel.core.errors import HostError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.desired import probes
from support_tunnel.flows.device.ports import DevicePorts

__all__ = ["require_free_names"]


def require_free_names(ports: DevicePorts, tunnel: TunnelId) -> None:
    """Raise HostError `names.taken`, naming what is there. Every name comes from the code: the next one has others."""
    there = probes.read(ports.shell, probes.taken(Names(tunnel)), timeout=20).get("left", "").splitlines()
    if there:
        raise HostError(
            "names.taken",
            f"this device already has the {', '.join(sorted(set(there)))}, which no request of ours made; it was left alone",
            next_step="Ask again: the next request has other names.",
        )
