"""The admin's own node that is a member of a fake Headscale, as a real one would be."""

from __future__ import annotations

from support_tunnel.core.errors import CoordinatorError, HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Joining
from support_tunnel.testing.fake_headscale import FakeHeadscale
from support_tunnel.testing.own_node import FakeOwnNode

__all__ = ["JoiningNode"]


class JoiningNode(FakeOwnNode):
    """Joins `server` with what it is given where that server knows the key; of others it thinks that it did."""

    def __init__(self, server: FakeHeadscale) -> None:
        super().__init__()
        self._server = server

    def join(self, tunnel: TunnelId, joining: Joining) -> str:
        if tunnel not in self.nodes and any(self._server.text_of(key) == joining.key for key in self._server.keys):
            try:
                self._server.join(joining.key, "own")
            except CoordinatorError as refused:
                raise HostError("node.join", refused.message) from None
        return super().join(tunnel, joining)
