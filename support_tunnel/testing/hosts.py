"""The way to a tunnel server and the door of a device, for tests of flows: they remember what was asked of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Completed, Hops
from support_tunnel.core.secret import Secret
from support_tunnel.testing.shells import ScriptedShell

__all__ = ["FakeConnector", "FakeDoor", "FakeServerShell", "Login"]


@dataclass(frozen=True, slots=True)
class Login:
    """One connect: which host key was expected, how patiently, and the private key that was shown."""

    address: str
    user: str
    host_key: str
    private_key: Secret[str]
    first_contact: bool = False


class FakeServerShell(ScriptedShell):
    """`ports.ServerShell`: a scripted shell; `closed` once it was."""

    closed = False

    def close(self) -> None:
        self.closed = True


class FakeConnector:
    """`ports.Connector` to one server: always the same shell, or the error `refuses`."""

    def __init__(self, shell: FakeServerShell | None = None, *, refuses: SupportTunnelError | None = None) -> None:
        self.shell = shell or FakeServerShell()
        self.refuses = refuses
        self.logins: list[Login] = []

    def connect(
        self,
        address: str,
        *,
        user: str,
        private_key: Secret[str],
        host_key: str,
        timeout: float,
        first_contact: bool = False,
    ) -> FakeServerShell:
        self.logins.append(Login(address, user, host_key, private_key, first_contact))
        if self.refuses is not None:
            raise self.refuses
        return self.shell


class FakeDoor:
    """`ports.Door` that leads nowhere: `hops` keeps what was prepared, `commands` what was run."""

    def __init__(self, says: Completed | None = None) -> None:
        self._says = says or Completed(0, "", "")
        self.hops: dict[TunnelId, Hops] = {}
        self.commands: list[str] = []
        self.terminals = 0

    def prepare(self, tunnel: TunnelId, hops: Hops) -> None:
        self.hops[tunnel] = hops

    def command(self, tunnel: TunnelId, command: str, *, timeout: float | None) -> Completed:
        self.commands.append(command)
        return self._says

    def terminal(self, tunnel: TunnelId) -> int:
        self.terminals += 1
        return self._says.status

    def put(self, tunnel: TunnelId, local: str, remote: str, *, replace: bool) -> None:
        self.commands.append(f"put {local} {remote}{' over it' * replace}")

    def fetch(self, tunnel: TunnelId, remote: str, local: str, *, replace: bool) -> None:
        self.commands.append(f"fetch {remote} {local}{' over it' * replace}")

    def forward(self, tunnel: TunnelId, port: int, local_port: int, *, opened: Callable[[], None]) -> None:
        self.commands.append(f"forward {port} {local_port}")
        opened()
