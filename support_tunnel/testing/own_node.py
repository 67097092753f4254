"""The admin's own machine as a node, for tests of flows: it is a member wherever it was told to, and remembers by what."""

from __future__ import annotations

from collections.abc import Sequence

from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Joining, Way

__all__ = ["FakeOwnNode"]


class FakeOwnNode:
    """`ports.OwnNode`: a node outlives the flow under test, as a process does. `refuses` is what the next join raises."""

    def __init__(self, *, way: Way = "direct", refuses: SupportTunnelError | None = None) -> None:
        self.way = way
        self.refuses = refuses
        self.lacks: SupportTunnelError | None = None
        """What this machine lacks, by `require`."""
        self.nodes: dict[TunnelId, Joining] = {}
        self.asked: list[tuple[TunnelId, str]] = []

    def require(self) -> None:
        if self.lacks is not None:
            raise self.lacks

    def join(self, tunnel: TunnelId, joining: Joining) -> str:
        self.require()
        if tunnel not in self.nodes:
            if self.refuses is not None:
                raise self.refuses
            self.nodes[tunnel] = joining
        return self._address(tunnel)

    def address(self, tunnel: TunnelId) -> str | None:
        return self._address(tunnel) if tunnel in self.nodes else None

    def way_to(self, tunnel: TunnelId, peer: str) -> Way:
        self.asked.append((tunnel, peer))
        return self.way if tunnel in self.nodes else ""

    def through(self, tunnel: TunnelId) -> tuple[str, ...]:
        return ("/opt/tailscale", f"--socket=/run/{tunnel}/socket", "nc")

    def leave(self, tunnel: TunnelId) -> None:
        self.nodes.pop(tunnel, None)

    def tunnels(self) -> Sequence[TunnelId]:
        return sorted(self.nodes)

    def _address(self, tunnel: TunnelId) -> str:
        return f"fd7a:115c:a1e0::{sorted(self.nodes).index(tunnel) + 16:x}"
