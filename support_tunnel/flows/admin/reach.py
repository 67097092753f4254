"""Files and ports of a device: only what its owner offered and this tunnel was granted. The device holds the line too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.record import STATE

__all__ = ["fetch", "forward", "granted", "parse_forward", "put"]


def put(ports: AdminPorts, tunnel: TunnelId, local: str, remote: str, *, replace: bool) -> str:
    """Copy `local` to the device; without `remote` into the session's home folder. Returns the name there."""
    _require_files(ports, tunnel)
    target = _named(remote, local)
    ports.progress.step(f"Copying to {target}")
    ports.door.put(tunnel, local, target, replace=replace)
    return target


def fetch(ports: AdminPorts, tunnel: TunnelId, remote: str, local: str, *, replace: bool) -> str:
    """Copy `remote` from the device; without `local` into this folder, by its own last name. Returns the name here."""
    _require_files(ports, tunnel)
    target = _named(local, remote)
    ports.progress.step(f"Copying to {target}")
    ports.door.fetch(tunnel, remote, target, replace=replace)
    return target


def forward(ports: AdminPorts, tunnel: TunnelId, port: int, local_port: int, *, opened: Callable[[], None]) -> None:
    """Lead a local port to one of the device's own. Raises UsageError `scope.ports` for one that was not offered."""
    offered = granted(ports, tunnel).ports
    if port not in offered:
        raise UsageError(
            "scope.ports",
            f"the owner offered no port {port} (offered: {', '.join(map(str, offered)) or 'none'})",
            next_step=f"Ask the owner for a request with --port {port}.",
        )
    ports.door.forward(tunnel, port, local_port, opened=opened)


def granted(ports: AdminPorts, tunnel: TunnelId) -> Scope:
    """What this tunnel may do. Raises WrongState `tunnel.door` where the tunnel was not answered from here."""
    state, entry = ports.vault.get(tunnel, STATE), ports.ledger.read(tunnel)
    if state is None or entry is None or entry.stage != "connected":
        raise WrongState(
            "tunnel.door",
            f"tunnel {tunnel[:8]} is not connected from this machine",
            next_step="See `fab list`; after a crash, `fab resume`.",
        )
    return AdminSession.load(state).answer.scope


def parse_forward(text: str) -> tuple[int, int]:
    """`PORT` or `PORT:LOCALPORT`. Raises UsageError `port.value`."""
    remote, _, local = text.partition(":")
    numbers = [int(word) if word.isascii() and word.isdigit() else 0 for word in (remote, local or remote)]
    if not all(1 <= number <= 65535 for number in numbers):
        raise UsageError("port.value", "a forward is PORT or PORT:LOCALPORT, each from 1 to 65535")
    return numbers[0], numbers[1]


def _require_files(ports: AdminPorts, tunnel: TunnelId) -> None:
    if not granted(ports, tunnel).files:
        raise UsageError(
            "scope.files",
            "the owner did not offer to copy files",
            next_step="Ask the owner for a request with --files.",
        )


def _named(wanted: str, other: str) -> str:
    """`wanted`, or the last name of `other` in it or in place of it."""
    if wanted and not wanted.endswith("/"):
        return wanted
    name = PurePosixPath(other).name
    if name in ("", ".", ".."):
        raise UsageError("file.name", f"{other!r} has no name of its own", next_step="Say with --to what to call it.")
    return wanted + name
