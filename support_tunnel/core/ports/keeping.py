"""What each side keeps between two commands: the ledger on disk, secrets in memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from support_tunnel.core.names import TunnelId
from support_tunnel.core.report import Report
from support_tunnel.core.secret import Secret
from support_tunnel.core.spending import Rental

__all__ = ["Account", "Ledger", "LedgerEntry", "Stage", "Vault"]


Stage = Literal["intended", "launched", "answered", "connected", "stopping"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One tunnel this admin works on. Holds no secret: code, prk, prk2 and PSK never come here (2.3)."""

    tunnel: TunnelId
    cloud: str
    stage: Stage
    created: datetime
    expires: datetime
    server_id: str = ""
    server_address: str = ""
    device_name: str = ""
    headscale: str = ""
    """Address of the standing Headscale server it is on; `cloud` is empty then."""
    ticket: str = ""
    """As the admin gave it."""
    image: str = ""
    """Name of the image that its server is launched for, until that is whole: what has this name then is half-made."""
    nonce: str = ""
    """8 hex digits, drawn before there is a record on the standing server, and part of it: another admin's has others."""


class Account(Protocol):
    """What this admin's servers cost; outlives them. An estimate, so nothing that has to be ended hangs on it."""

    def write(self, rental: Rental) -> None:
        """Keep it, in place of the one of the same tunnel that began then."""
        ...

    def rentals(self) -> Sequence[Rental]:
        """The oldest first; at least those of this month and the last."""
        ...


class Ledger(Protocol):
    """Write-ahead record on disk: intent is there before the effect (2.16)."""

    def write(self, entry: LedgerEntry) -> None: ...

    def read(self, tunnel: TunnelId) -> LedgerEntry | None: ...

    def entries(self) -> Sequence[LedgerEntry]: ...

    def remove(self, tunnel: TunnelId) -> None: ...

    def keep_report(self, report: Report) -> None:
        """How a tunnel ended; one told before of the same tunnel is replaced, the oldest of many are dropped."""
        ...

    def reports(self) -> Sequence[Report]:
        """What is kept of them, the latest first."""
        ...


class Vault(Protocol):
    """Session secrets on tmpfs, 0600, one folder a tunnel; erased at its end. Device and admin each have one."""

    def hold(self, tunnel: TunnelId) -> AbstractContextManager[None]:
        """Work on this tunnel alone; a killed process lets go. Raises WrongState `tunnel.busy` while another holds it."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Be the only process that counts tunnels and holds another one; waits for its turn, and is given back at once."""
        ...

    def put(self, tunnel: TunnelId, name: str, value: Secret[bytes]) -> None: ...

    def get(self, tunnel: TunnelId, name: str) -> Secret[bytes] | None: ...

    def drop(self, tunnel: TunnelId, name: str) -> None:
        """Overwrite and forget one secret; missing is fine."""
        ...

    def path(self, tunnel: TunnelId, name: str) -> str:
        """Where `name` lies, for programs that take a file (ssh)."""
        ...

    def tunnels(self) -> Sequence[TunnelId]: ...

    def erase(self, tunnel: TunnelId) -> None: ...
