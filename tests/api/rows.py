"""Rows as tests put them into a store."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from support_tunnel.api.store import Put
from support_tunnel.core.names import TunnelId

__all__ = ["new_id", "row"]


def new_id() -> TunnelId:
    return TunnelId(secrets.token_hex(16))


def row(offer: bytes = b"offer", ttl: int = 600, **changes: Any) -> Put:
    return replace(Put(new_id(), offer, b"d" * 32, b"c" * 32, ttl), **changes)
