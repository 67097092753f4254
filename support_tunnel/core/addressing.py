"""Addresses inside a tunnel follow from its /64, which follows from the code: nobody chooses, so nobody can choose badly."""

from __future__ import annotations

import ipaddress
from typing import Final

from support_tunnel.core.st1.paths import HeadscalePath, Path, Transport

__all__ = [
    "SESSION_PORT",
    "TAILNET",
    "device_address",
    "network_along",
    "node_address",
    "server_address",
    "sources_along",
]

SESSION_PORT: Final = 47022
"""TCP port of the session's sshd on the device's tunnel address; a constant of ST1 (docs/protocol.md)."""
TAILNET: Final = ipaddress.IPv6Network("fd7a:115c:a1e0::/48")
"""Of every Headscale server: Tailscale's clients take no other. One that knows nobody else gives the first two to us, in order."""


def network_along(transport: Transport, network: ipaddress.IPv6Network) -> ipaddress.IPv6Network:
    """Where the two ends have their addresses on a path of this transport; `network` is the tunnel's own."""
    return TAILNET if transport == "headscale" else network


def node_address(text: str) -> ipaddress.IPv6Address | None:
    """The address of a node as a Headscale server gave it, which may be hostile: one of Tailscale's own range, or None."""
    try:
        address = ipaddress.IPv6Address(text)
    except ipaddress.AddressValueError:
        return None
    # Behind a `%` Python takes whatever there is.
    return address if address in TAILNET and address != TAILNET.network_address and not address.scope_id else None


def sources_along(path: Path, network: ipaddress.IPv6Network) -> tuple[str, ...]:
    """From where the admin logs in: the tunnel server alone; in a network shared with others any node, for addresses say nothing there."""
    if isinstance(path, HeadscalePath) and path.shared:
        return (str(TAILNET),)
    return (str(server_address(network_along(path.transport, network))),)


def server_address(network: ipaddress.IPv6Network) -> ipaddress.IPv6Address:
    return network.network_address + 1


def device_address(network: ipaddress.IPv6Network) -> ipaddress.IPv6Address:
    return network.network_address + 2
