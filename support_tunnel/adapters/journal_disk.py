"""The device's audit log on disk: one file of lines a tunnel, written through before what it says is done (2.14).

The moving MAC key lies on tmpfs, so a stolen disk does not hold it, and after a power cut a log is closed for good: nobody,
we neither, can add a line that verifies.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from support_tunnel.adapters.private_files import PrivateFolder
from support_tunnel.core.audit import AuditLog, LogBroken, entries, verify
from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import TunnelId, parse_tunnel_id
from support_tunnel.core.ports import Clock, LoggedSession, Vault

__all__ = ["DiskJournal"]

_STATE = "audit"
_FILE = re.compile(r"([0-9a-f]{8})\.jsonl")


class DiskJournal:
    """`ports.Journal` in `folder`; the chain's state is in the vault. `echo` is given each event, once it is written."""

    def __init__(
        self, folder: Path, vault: Vault, clock: Clock, *, echo: Callable[[str], None] = lambda text: None
    ) -> None:
        self._echo = echo
        self._folder = PrivateFolder(folder)
        self._vault = vault
        self._clock = clock

    def append(self, tunnel: TunnelId, event: str, data: Mapping[str, str | int]) -> str:
        self._folder.make()
        with self._folder.opened(f"{tunnel[:8]}.jsonl") as out:
            # The keeper may write while a tool ends the session: one line after the other.
            fcntl.flock(out, fcntl.LOCK_EX)
            log, lines = self._log(tunnel), out.readlines()
            if log.count == 0 and len(lines) > 1:
                raise UsageError(
                    "log.dump",
                    f"the key of the log of {tunnel[:8]} is gone, so it cannot be written on",
                    next_step=f"End that session: inv stop {tunnel[:8]}",
                )
            line = log.append(now=self._clock.now(), actor="device", event=event, data=data)
            # A tool killed between this write and the next `put` left a line that nothing was done after: it is replaced.
            kept = b"".join(lines[: log.count - 1])
            out.seek(len(kept))
            out.truncate()
            out.write(line)
            out.flush()
            os.fsync(out.fileno())
            self._vault.put(tunnel, _STATE, log.dump())
        self._echo(" ".join([event, *(f"{key}={value!r}" for key, value in data.items())]))
        return log.head

    def head(self, tunnel: TunnelId) -> str:
        return self._log(tunnel).head

    def sessions(self) -> Sequence[LoggedSession]:
        files = [found[1] for name in self._folder.names() if (found := _FILE.fullmatch(name))]
        return [_told(short, self._folder.read(f"{short}.jsonl") or b"") for short in files]

    def _log(self, tunnel: TunnelId) -> AuditLog:
        stored = self._vault.get(tunnel, _STATE)
        if stored is not None:
            try:
                return AuditLog.load(stored)
            except UsageError as damaged:
                raise UsageError(
                    damaged.code,
                    f"{self._vault.path(tunnel, _STATE)} is damaged, so the log of {tunnel[:8]} cannot be written on",
                    next_step=f"End that session: inv stop {tunnel[:8]}",
                ) from None
        log, _ = AuditLog.start(tunnel)
        return log


def _told(short: str, log: bytes) -> LoggedSession:
    """The first line names the tunnel, and the chain begins with that name: a log under a false one does not hold."""
    told = entries(log)
    try:
        tunnel = parse_tunnel_id(str(told[0].data.get("tunnel", ""))) if told else None
    except UsageError:
        tunnel = None
    if tunnel is None or tunnel[:8] != short:
        return LoggedSession(short, None, told, "log.line")
    try:
        verify(log, tunnel)
    except LogBroken as broken:
        return LoggedSession(short, tunnel, told, broken.code)
    return LoggedSession(short, tunnel, told, "")
