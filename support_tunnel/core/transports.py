"""Which transports a request may offer: what its owner chose, held against what they ask of post-quantum protection (2.15)."""

from __future__ import annotations

from typing import Final

from support_tunnel.core.errors import UsageError
from support_tunnel.core.st1.paths import Transport

__all__ = ["PQ", "WISHES", "transports"]

WISHES: Final = ("wireguard", "headscale", "auto")
PQ: Final = ("require", "prefer")


def transports(wish: str, pq: str) -> tuple[Transport, ...]:
    """In the order in which they are tried. Raises UsageError `usage.transport`, `transport.pq`.

    Headscale's WireGuard takes no preshared key, so whoever records it now could read it with a later quantum computer, but for
    what the session's own ssh protects inside it.
    """
    if wish not in WISHES:
        raise UsageError("usage.transport", f"--transport is one of {', '.join(WISHES)}")
    if pq not in PQ:
        raise UsageError("usage.transport", f"--pq is one of {', '.join(PQ)}")
    if wish == "headscale" and pq == "require":
        raise UsageError(
            "transport.pq",
            "the transport headscale has no post-quantum key of its own; only the ssh inside it is post-quantum",
            next_step="Accept that with --pq prefer, or use --transport wireguard.",
        )
    if wish == "headscale":
        return ("headscale",)
    if wish == "wireguard":
        return ("wireguard",)
    return ("wireguard", "wireguard-443", "headscale") if pq == "prefer" else ("wireguard", "wireguard-443")
