"""What the admin's tool keeps of a tunnel on tmpfs between its processes; the ledger on disk holds none of it (2.3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv6Network

from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Vault
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.control import Channel

__all__ = [
    "CLAIM",
    "IDENTITY",
    "LOGIN_KEY",
    "LOGIN_USER",
    "SESSION_CERTIFICATE",
    "SESSION_KEY",
    "STATE",
    "Reached",
    "load_channel",
    "load_reached",
    "save_channel",
    "save_reached",
]

CLAIM = "claim"
"""Shown to the API to reach this tunnel's messages."""
LOGIN_KEY = "login-key"
"""OpenSSH private key for the tunnel server."""
LOGIN_USER = "tunnel-admin"
"""Whom a tunnel server of our own lets in."""
SESSION_KEY = "session-key"
"""OpenSSH private key for the device's session."""
SESSION_CERTIFICATE = "session-key-cert.pub"
"""Its certificate, where an organisation gave one; ssh finds it under this name."""
IDENTITY = "identity"
"""The key id that certificate is to carry."""
STATE = "state"
"""AdminSession: prk2, the identical bytes of M2, for a resume."""
_CHANNEL = "channel"
_REACHED = "server"


@dataclass(frozen=True, slots=True)
class Reached:
    """What a later process needs to know of the server besides its address; nothing of it is secret."""

    host_key: str
    wireguard_port: int
    network: IPv6Network
    """The tunnel's own /64, which follows from the code: the code itself is kept nowhere."""
    authority: str = ""
    """PEM of what vouches for the server's Headscale; empty where it has none."""
    udp_ports: tuple[int, ...] = ()
    """By which the device reaches WireGuard, in the order of the answer; the first is `wireguard_port`. Empty: by none."""
    guest_as: str = ""
    """Who is logged in as on a machine that others keep, where the tunnel is a guest. Empty: the server is the tunnel's own."""

    @property
    def user(self) -> str:
        return self.guest_as or LOGIN_USER


def save_reached(vault: Vault, tunnel: TunnelId, reached: Reached) -> None:
    fields = {
        "host_key": reached.host_key,
        "wireguard_port": reached.wireguard_port,
        "network": str(reached.network),
        "authority": reached.authority,
        "udp_ports": reached.udp_ports,
        "guest_as": reached.guest_as,
    }
    vault.put(tunnel, _REACHED, Secret(json.dumps(fields).encode()))


def load_reached(vault: Vault, tunnel: TunnelId) -> Reached | None:
    stored = vault.get(tunnel, _REACHED)
    if stored is None:
        return None
    fields = json.loads(stored.reveal())
    port = fields["wireguard_port"]
    return Reached(
        fields["host_key"],
        port,
        IPv6Network(fields["network"]),
        fields.get("authority", ""),
        tuple(fields.get("udp_ports", [port])),
        fields.get("guest_as", ""),
    )


def save_channel(vault: Vault, tunnel: TunnelId, channel: Channel) -> None:
    vault.put(tunnel, _CHANNEL, channel.dump())


def load_channel(vault: Vault, tunnel: TunnelId) -> Channel | None:
    stored: Secret[bytes] | None = vault.get(tunnel, _CHANNEL)
    return Channel.load(stored) if stored else None
