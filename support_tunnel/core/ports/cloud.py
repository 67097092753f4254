"""Where servers come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.secret import Secret

__all__ = ["Cloud", "Login", "OpenPort", "Server", "ServerSpec"]


@dataclass(frozen=True, slots=True)
class OpenPort:
    """A port of a server that its cloud lets traffic through to; SSH's is for the admin's networks, any other for everybody."""

    protocol: Literal["tcp", "udp"]
    port: int


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server to launch, in words no cloud owns. `user_data` is a cloud-init document that holds no lasting secret."""

    name: str
    user_data: str
    expires: datetime
    tags: Mapping[str, str]
    size: str = "small"
    image: str = "debian-13"
    lifetime: int = 0
    """Seconds until its end, for a cloud that ends it by a clock of its own; 0 where nobody says."""
    open_ports: tuple[OpenPort, ...] = ()
    """All that is open, and for as long as the server is there. None given: the cloud's own rules stay as they are."""


@dataclass(frozen=True, slots=True)
class Login:
    """How a machine that was there before is logged in to: its keeper says so, and no user-data changes it."""

    user: str
    """Root, or one who may become it by sudo without a password."""
    private_key: Secret[str]
    """OpenSSH, Ed25519, unencrypted."""
    host_key: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server as the cloud reports it. `tags` are the cloud's own, so they survive the loss of the ledger."""

    id: str
    name: str
    address: str
    """Address that reaches it; empty while the cloud has given none."""
    running: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    boot_seconds: float = 180.0
    """Within how long of its making its sshd answers, and with the host key of its user-data."""
    billed: bool = True
    """False for what is listed as one so that it is ended too, such as a firewall whose server is gone."""
    login: Login | None = None
    """Of a machine that others keep, where the tunnel is a guest and leaves it as it was; None: the server is the tunnel's own."""


class Cloud(Protocol):
    """Launches and ends servers. Raises CloudError `cloud.*`; an error never means "gone"."""

    @property
    def only_wireguard(self) -> bool:
        """Whether its servers are made no Headscale servers, since others keep them."""
        ...

    def create(self, spec: ServerSpec) -> Server:
        """Launch, tagged; returns once the cloud has accepted it. A failed create leaves nothing or something tagged."""
        ...

    def servers(self) -> Sequence[Server]:
        """Every server that carries our tag, whoever made it."""
        ...

    def server(self, server_id: str) -> Server | None:
        """The one of this id that carries our tag, and nothing besides: it is asked again and again while a server starts."""
        ...

    def destroy(self, server_id: str) -> None:
        """End it and prove it gone; already gone is success."""
        ...

    def destroy_all(self, server_ids: Sequence[str]) -> Mapping[str, SupportTunnelError]:
        """The same for many at once: by id, what `destroy` would have raised of those that could not be proved gone.

        Raises CloudError when that is said of none of them.
        """
        ...

    def now(self) -> datetime | None:
        """The cloud's own clock, as its last answer to this thread had it; None where it says none."""
        ...

    def console(self, server_id: str) -> Sequence[str]:
        """The last lines that it wrote on its console: a stranger's text, in printable characters. None where the cloud tells none."""
        ...

    def hourly(self) -> float | None:
        """About what a tunnel server costs here, in US dollars an hour; None where nobody says."""
        ...
