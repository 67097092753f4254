"""What the admin's tool keeps of a tunnel on tmpfs between its processes; the ledger on disk holds none of it (2.3)."""

from __future__ import annotations

from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Vault
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.control import Channel

__all__ = ["CLAIM", "LOGIN_KEY", "SESSION_KEY", "STATE", "load_channel", "save_channel"]

CLAIM = "claim"
"""Shown to the API to reach this tunnel's messages."""
LOGIN_KEY = "login-key"
"""OpenSSH private key for the tunnel server."""
SESSION_KEY = "session-key"
"""OpenSSH private key for the device's session."""
STATE = "state"
"""AdminSession: prk2, the identical bytes of M2, for a resume."""
_CHANNEL = "channel"


def save_channel(vault: Vault, tunnel: TunnelId, channel: Channel) -> None:
    vault.put(tunnel, _CHANNEL, channel.dump())


def load_channel(vault: Vault, tunnel: TunnelId) -> Channel | None:
    stored: Secret[bytes] | None = vault.get(tunnel, _CHANNEL)
    return Channel.load(stored) if stored else None
