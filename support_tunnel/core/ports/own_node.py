"""The admin's own machine as a node of one tunnel's network: what stands in for the tunnel server where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

__all__ = ["Joining", "OwnNode", "Way"]

Way = Literal["direct", "relay", ""]
"""How the last answer of the other end came; empty: none came."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What lets this machine join, once: server (https), the one authority that is trusted for it (PEM), a join key."""

    control: str
    authority: str
    """Empty: those that this machine trusts."""
    key: Secret[str]
    seconds: int
    """From now, until the node ends by itself, whatever became of our tools."""


class OwnNode(Protocol):
    """One node a tunnel, found again by the next command. It opens connections and takes none, and changes nothing of this machine.

    Raises UsageError `node.programs` where this machine has no Tailscale that could, `vault.disk`; HostError `node.*`.
    """

    def require(self) -> None:
        """Raise what `join` would raise about this machine; nothing is started."""
        ...

    def join(self, tunnel: TunnelId, joining: Joining) -> str:
        """Be a member; returns this node's address. One that is a member stays it, and its key is not used.

        Raises HostError `node.join` when the server did not take it, with what it said; nothing is left then.
        """
        ...

    def address(self, tunnel: TunnelId) -> str | None:
        """Address of the node in the network (IPv6); None where it is no member, or does not run."""
        ...

    def way_to(self, tunnel: TunnelId, peer: str) -> Way:
        """Ask the other end's node, three times at most, until it answers directly. Whether its ports are open is another question."""
        ...

    def through(self, tunnel: TunnelId) -> tuple[str, ...]:
        """A program and its arguments: with an address and a port after them, it leads stdin and stdout there."""
        ...

    def leave(self, tunnel: TunnelId) -> None:
        """End the node, and with it what goes through it; erase what it kept. None there is fine. The server may still list it."""
        ...

    def tunnels(self) -> Sequence[TunnelId]:
        """Tunnels that this machine has a node of, or what one left."""
        ...
