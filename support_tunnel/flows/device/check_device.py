"""Can this device hold a session at all? Asked before anything is made, so that nothing is half-made where it cannot."""

from __future__ import annotations

from support_tunnel.core.device_health import require_fit
from support_tunnel.core.errors import UsageError
from support_tunnel.core.kex import POST_QUANTUM_KEX
from support_tunnel.desired import probes
from support_tunnel.flows.device.ports import DevicePorts

__all__ = ["require_tailscale", "usable_kex"]


def usable_kex(ports: DevicePorts) -> tuple[str, ...]:
    """Check that this device can hold a session at all; return the post-quantum key exchanges its ssh knows."""
    found = probes.read(ports.shell, probes.capabilities(), timeout=20)
    require_fit(found)
    return tuple(name for name in POST_QUANTUM_KEX if name in found["kex"].split())


def require_tailscale(ports: DevicePorts) -> None:
    """Raises UsageError `headscale.programs`."""
    if not ports.tailscale:
        raise UsageError(
            "headscale.programs",
            "the transport headscale needs Tailscale's programs, and this device's settings do not say where they are",
            next_step="Set `tailscale` in /etc/support_tunnel/config.ini to the folder of tailscale and tailscaled.",
        )
