"""Addresses inside a tunnel follow from its /64, which follows from the code: nobody chooses, so nobody can choose badly."""

from __future__ import annotations

import ipaddress
from typing import Final

__all__ = ["SESSION_PORT", "device_address", "server_address"]

SESSION_PORT: Final = 47022
"""TCP port of the session's sshd on the device's tunnel address; a constant of ST1 (docs/protocol.md)."""


def server_address(network: ipaddress.IPv6Network) -> ipaddress.IPv6Address:
    return network.network_address + 1


def device_address(network: ipaddress.IPv6Network) -> ipaddress.IPv6Address:
    return network.network_address + 2
