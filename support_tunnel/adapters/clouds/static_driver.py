"""Tunnels on one machine that others keep, as libcloud sees servers. Each call is a connection of its own, under the pinned host key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from libcloud.compute.base import Node, NodeDriver
from libcloud.compute.types import NodeState

from support_tunnel.adapters.ssh_server import connect_server
from support_tunnel.core.ports import Login, ServerShell, ServerSpec, Shell

__all__ = ["Guests", "StaticDriver"]

_PATIENCE = 30.0
"""Seconds for its sshd to answer."""


class Guests(Protocol):
    """What is done there, as root (desired/guest.py)."""

    def claim(
        self, shell: Shell, tags: Mapping[str, str], ports: Sequence[int], *, expires: int, lifetime: int, most: int
    ) -> None: ...

    def require_fit(self, shell: Shell, *, most: int) -> None: ...

    def tunnels(self, shell: Shell) -> list[dict[str, str]]: ...

    def give_back(self, shell: Shell, tags: Mapping[str, str]) -> object: ...


class StaticDriver(NodeDriver):  # type: ignore[misc]  # libcloud has no types
    type = "static"
    name = "A server that exists already"
    website = "https://libcloud.apache.org/"

    def __init__(
        self,
        address: str,
        login: Login,
        *,
        most: int,
        guests: Guests,
        connect: Callable[..., ServerShell] = connect_server,
    ) -> None:
        # The base class's own __init__ would open an HTTP connection.
        self.key = address
        self.secret = self.region = self.connection = None
        self._login = login
        self._most = most
        self._guests = guests
        self._connect = connect

    def list_nodes(self) -> list[Node]:
        with closing(self._shell()) as shell:
            return [self._node(tags) for tags in self._guests.tunnels(shell)]

    def create_node(self, name: str, spec: ServerSpec) -> Node:
        tags = {**spec.tags, "name": name}
        ports = [port.port for port in spec.open_ports if port.protocol == "udp"]
        with closing(self._shell()) as shell:
            self._guests.claim(
                shell,
                tags,
                ports,
                expires=int(spec.expires.timestamp()),
                lifetime=spec.lifetime,
                most=self._most,
            )
        return self._node(tags)

    def ex_require_fit(self) -> None:
        """Raise CloudError `cloud.programs`, `cloud.full` where no tunnel could have a place now."""
        with closing(self._shell()) as shell:
            self._guests.require_fit(shell, most=self._most)

    def destroy_node(self, node: Node) -> bool:
        with closing(self._shell()) as shell:
            self._guests.give_back(shell, node.extra["tags"])
        return True

    def _shell(self) -> ServerShell:
        return self._connect(
            self.key,
            user=self._login.user,
            private_key=self._login.private_key,
            host_key=self._login.host_key,
            timeout=_PATIENCE,
        )

    def _node(self, tags: Mapping[str, str]) -> Node:
        number, name = tags.get("st-tunnel", ""), tags.get("name", "")
        extra: dict[str, Any] = {"tags": {key: value for key, value in tags.items() if key != "name"}}
        return Node(number, name, NodeState.RUNNING, [self.key], [], self, extra=extra)
