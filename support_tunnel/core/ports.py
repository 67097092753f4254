"""The seams: what flows may ask of the world. Each has an adapter, and a fake in `support_tunnel.testing`.

Times are aware UTC datetimes; durations are seconds. A port call is also a fault point: tests fail, hang or kill at each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

__all__ = [
    "Acquaintances",
    "Blob",
    "Clock",
    "Cloud",
    "Completed",
    "Connector",
    "Door",
    "Hops",
    "Journal",
    "Ledger",
    "LedgerEntry",
    "Mailbox",
    "Met",
    "Progress",
    "Prompt",
    "Server",
    "ServerShell",
    "ServerSpec",
    "Shell",
    "Slot",
    "Stage",
    "TunnelRow",
    "Vault",
]


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never backwards."""
        ...

    def boottime(self) -> float:
        """Like `monotonic`, but it also counts while the machine is suspended (CLOCK_BOOTTIME)."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass between two looks at a condition; never a fixed sleep in the hope that something is done."""
        ...


# --- shell ----------------------------------------------------------------------------------------------------------


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
        self, address: str, *, user: str, private_key: Secret[str], host_key: str, timeout: float
    ) -> ServerShell:
        """Wait for sshd, then log in. Raises HostError `ssh.hostkey`, `ssh.kex`, `ssh.login`, `ssh.unreachable`."""
        ...


@dataclass(frozen=True, slots=True)
class Hops:
    """What the last hop needs: two pinned host keys, two addresses. Keys lie in the vault of this tunnel."""

    server_address: str
    server_user: str
    server_host_key: str
    device_address: str
    device_port: int
    device_user: str
    device_host_key: str


class Door(Protocol):
    """The way into a device's session, through its tunnel server, by the system's own ssh (04)."""

    def prepare(self, tunnel: TunnelId, hops: Hops) -> None:
        """Write what ssh needs into the vault; the two private keys `login-key` and `session-key` are there already."""
        ...

    def command(self, tunnel: TunnelId, command: str, *, timeout: float | None) -> Completed:
        """Run one command in the session. Raises HostError `ssh.*` when ssh itself fails."""
        ...

    def terminal(self, tunnel: TunnelId) -> int:
        """A real terminal in the session; returns the shell's exit status."""
        ...


# --- mailbox (the API seen from a client) ---------------------------------------------------------------------------

Slot = Literal["answer", "confirm", "ready", "control-admin", "control-device"]


@dataclass(frozen=True, slots=True)
class Blob:
    """One sealed message as the API relays it. `number` rises strictly within a tunnel and is what `after` counts."""

    number: int
    slot: Slot | Literal["offer"]
    data: bytes


@dataclass(frozen=True, slots=True)
class TunnelRow:
    """Metadata of a tunnel: all that an admin token without a code may see."""

    tunnel: TunnelId
    state: Literal["open", "closed"]
    slots: tuple[str, ...]
    created: datetime
    expires: datetime
    answered_by: str | None


class Mailbox(Protocol):
    """Relays sealed bytes for tunnels; may delay, drop or delete, and is trusted with nothing else (2.1).

    Raises HostError `api.unreachable`, WrongState `tunnel.unknown` / `tunnel.closed` / `answer.late` / `api.slot`,
    UsageError `api.token`. Retries only what is safe to repeat.
    """

    def open(self, tunnel: TunnelId, offer: bytes, *, claim: Secret[bytes], ttl: int) -> None:
        """Device: put the offer. Idempotent for the same bytes; WrongState `tunnel.exists` for others."""
        ...

    def post(self, tunnel: TunnelId, slot: Slot, data: bytes) -> None:
        """Append one message. Posting identical bytes to the same slot again is fine."""
        ...

    def messages(self, tunnel: TunnelId, *, after: int, wait: float) -> Sequence[Blob]:
        """Messages numbered above `after`; when there are none, wait up to `wait` seconds for one."""
        ...

    def close(self, tunnel: TunnelId) -> None:
        """Mark the tunnel closed; closing twice is fine."""
        ...

    def tunnels(self) -> Sequence[TunnelRow]:
        """Admin with the `list` right: open tunnels of the organisation."""
        ...


# --- cloud ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server to launch, in words no cloud owns. `user_data` is a cloud-init document that holds no lasting secret."""

    name: str
    user_data: str
    expires: datetime
    tags: Mapping[str, str]
    size: str = "small"
    image: str = "debian-13"
    region: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """A server as the cloud reports it. `tags` are the cloud's own, so they survive the loss of the ledger."""

    id: str
    name: str
    address: str
    """Address that reaches it; empty while the cloud has given none."""
    running: bool
    tags: Mapping[str, str] = field(default_factory=dict)


class Cloud(Protocol):
    """Launches and ends servers. Raises CloudError `cloud.*`; an error never means "gone"."""

    def create(self, spec: ServerSpec) -> Server:
        """Launch, tagged; returns once the cloud has accepted it. A failed create leaves nothing or something tagged."""
        ...

    def servers(self) -> Sequence[Server]:
        """Every server that carries our tag, whoever made it."""
        ...

    def destroy(self, server_id: str) -> None:
        """End it and prove it gone; already gone is success."""
        ...


# --- admin's own disk -----------------------------------------------------------------------------------------------

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


class Ledger(Protocol):
    """Write-ahead record on disk: intent is there before the effect (2.16)."""

    def write(self, entry: LedgerEntry) -> None: ...

    def read(self, tunnel: TunnelId) -> LedgerEntry | None: ...

    def entries(self) -> Sequence[LedgerEntry]: ...

    def remove(self, tunnel: TunnelId) -> None: ...


class Vault(Protocol):
    """Session secrets on tmpfs, 0600, one folder a tunnel; erased at its end. Device and admin each have one."""

    def hold(self, tunnel: TunnelId) -> AbstractContextManager[None]:
        """Work on this tunnel alone; a killed process lets go. Raises WrongState `tunnel.busy` while another holds it."""
        ...

    def put(self, tunnel: TunnelId, name: str, value: Secret[bytes]) -> None: ...

    def get(self, tunnel: TunnelId, name: str) -> Secret[bytes] | None: ...

    def path(self, tunnel: TunnelId, name: str) -> str:
        """Where `name` lies, for programs that take a file (ssh)."""
        ...

    def tunnels(self) -> Sequence[TunnelId]: ...

    def erase(self, tunnel: TunnelId) -> None: ...


# --- device's own disk ----------------------------------------------------------------------------------------------


class Journal(Protocol):
    """The session's audit log on the device: a hash chain (2.14), one file a tunnel, outside the session's reach."""

    def append(self, tunnel: TunnelId, event: str, data: Mapping[str, str | int]) -> str:
        """Write one line through to disk and return the new head (64 hex digits)."""
        ...

    def head(self, tunnel: TunnelId) -> str:
        """Head of the chain, 64 hex digits."""
        ...


@dataclass(frozen=True, slots=True)
class Met:
    """How often an admin's key was let in before, and when last; `times` 0 means never."""

    times: int
    last: datetime | None


class Acquaintances(Protocol):
    """Admins this device has met, by fingerprint: what the prompt says about them (2.8)."""

    def met(self, fingerprint: str) -> Met: ...

    def remember(self, fingerprint: str, name: str, when: datetime) -> None: ...


# --- people ---------------------------------------------------------------------------------------------------------


class Prompt(Protocol):
    """The person at this terminal. Raises UsageError `prompt.terminal` when there is nobody to ask."""

    def show(self, text: str) -> None: ...

    def ask(self, question: str, *, timeout: float) -> str:
        """One line as typed; raises ConsentRefused `consent.timeout` when nothing comes."""
        ...

    def ask_secret(self, question: str) -> Secret[str]:
        """One line without echo."""
        ...


class Progress(Protocol):
    """Live step list on stderr."""

    def step(self, text: str) -> None:
        """A step begins; the one before has ended."""
        ...

    def note(self, text: str) -> None:
        """A line that stays on the screen."""
        ...

    def end(self) -> None:
        """The last step has ended."""
        ...
