"""Addresses inside a tunnel follow from its /64, which follows from the code: nobody chooses, so nobody can choose badly."""

from __future__ import annotations

import ipaddress
from typing import Final

from support_tunnel.core.st1.paths import Transport

__all__ = ["SESSION_PORT", "TAILNET", "device_address", "network_along", "server_address"]

SESSION_PORT: Final = 47022
"""TCP port of the session's sshd on the device's tunnel address; a constant of ST1 (docs/protocol.md)."""
TAILNET: Final = ipaddress.IPv6Network("fd7a:115c:a1e0::/48")
"""Of every Headscale server: Tailscale's clients take no other. One that knows nobody else gives the first two to us, in order."""


def network_along(transport: Transport, network: ipaddress.IPv6Network) -> ipaddress.IPv6Network:
    """Where the two ends have their addresses on a path of this transport; `network` is the tunnel's own."""
    return TAILNET if transport == "headscale" else network


def server_address(network: ipaddress.IPv6Network) -> ipaddress.IPv6Address:
    return network.network_address + 1


def device_address(network: ipaddress.IPv6Network) -> ipaddress.IPv6Address:
    return network.network_address + 2
