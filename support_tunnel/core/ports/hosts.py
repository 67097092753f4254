"""Hosts: a shell on one, ssh to a server we made, and the way into a device through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

__all__ = ["Completed", "Connector", "Door", "Hops", "ServerShell", "Shell", "ThroughOwnNode", "ThroughServer"]


@dataclass(frozen=True, slots=True)
class Completed:
    """What a script left behind; a non-zero status is data here, the caller decides."""

    status: int
    stdout: str
    stderr: str


class Shell(Protocol):
    """A POSIX shell with root's rights on some host."""

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        """Feed `script` to `sh -s` on stdin, in one channel. Raises HostError `host.*` when the host does not answer."""
        ...


class ServerShell(Shell, Protocol):
    """A shell on the tunnel server, over one SSH connection whose host key was known beforehand."""

    def close(self) -> None:
        """End the connection; closing twice is fine."""
        ...


class Connector(Protocol):
    """Opens SSH connections to servers we made; trust on first use does not exist (2.10)."""

    def connect(
        self,
        address: str,
        *,
        user: str,
        private_key: Secret[str],
        host_key: str,
        timeout: float,
        first_contact: bool = False,
    ) -> ServerShell:
        """Wait for sshd, then log in. Raises HostError `ssh.hostkey`, `ssh.kex`, `ssh.login`, `ssh.unreachable`.

        `first_contact`: the server may still show its image's own host key, so another key is refused only when the time is over.
        """
        ...


@dataclass(frozen=True, slots=True)
class ThroughServer:
    """The first hop is the tunnel server, by ssh, its host key pinned."""

    address: str
    user: str
    host_key: str


@dataclass(frozen=True, slots=True)
class ThroughOwnNode:
    """The first hop is this machine's own node of the network (`OwnNode.through`); nobody logs in anywhere on the way."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hops:
    """What the way into the session needs. Its host key is pinned, whatever is before it. Keys lie in the vault of this tunnel."""

    through: ThroughServer | ThroughOwnNode
    device_address: str
    device_port: int
    device_user: str
    device_host_key: str


class Door(Protocol):
    """The way into a device's session, through its tunnel server or an own node, by the system's own ssh (04)."""

    def prepare(self, tunnel: TunnelId, hops: Hops) -> None:
        """Write what ssh needs into the vault; the private keys are there already: `session-key`, and for a server `login-key`."""
        ...

    def command(self, tunnel: TunnelId, command: str, *, timeout: float | None) -> Completed:
        """Run one command in the session. Raises HostError `ssh.*` when ssh itself fails."""
        ...

    def terminal(self, tunnel: TunnelId) -> int:
        """A real terminal in the session; returns the shell's exit status."""
        ...

    def put(self, tunnel: TunnelId, local: str, remote: str, *, replace: bool) -> None:
        """Copy a file there, whole or not at all. Raises UsageError `file.exists` unless `replace`; HostError `file*`."""
        ...

    def fetch(self, tunnel: TunnelId, remote: str, local: str, *, replace: bool) -> None:
        """Copy a file here, whole or not at all. Raises as `put`."""
        ...

    def forward(self, tunnel: TunnelId, port: int, local_port: int, *, opened: Callable[[], None]) -> None:
        """Lead 127.0.0.1:`local_port` here to the device's own `port` until interrupted. Raises HostError `ssh.*`."""
        ...
