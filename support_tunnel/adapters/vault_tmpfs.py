"""Session secrets in memory-backed files: they survive one `fab` call after another, not a power cut (2.3, 2.9).

Must not fall back to a disk: what is written there can be read from the medium years later. Honest limits: tmpfs may be
swapped out, and overwriting removes the bytes of the file, not copies the kernel or a hypervisor has made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from support_tunnel.adapters.memory_folder import how_to_have_one, lies_in_memory
from support_tunnel.adapters.private_files import PrivateFolder
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId, parse_tunnel_id
from support_tunnel.core.secret import Secret

__all__ = ["TmpfsVault"]

LOCK = ".lock"
TUNNEL = re.compile(r"[0-9a-f]{32}")
ATTEMPTS = 100
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class TmpfsVault:
    """`ports.Vault` under `folder`. Raises UsageError `vault.disk` when that is not in memory, and `file.*`.

    The folder is there only while something is in it, and so are those `above` it that are named as ours too.
    """

    def __init__(self, folder: Path, *, above: Sequence[Path] = ()) -> None:
        self._root = PrivateFolder(folder, secret=True)
        self._above = above

    @contextmanager
    def hold(self, tunnel: TunnelId) -> Iterator[None]:
        try:
            with ExitStack() as held:
                self._lock(tunnel, held)
                yield
        finally:
            self._go_when_empty()

    def _lock(self, tunnel: TunnelId, held: ExitStack) -> None:
        try:
            # Beside the tunnel's folder, not in it: `erase` may run while it is held.
            self._again(lambda: held.enter_context(self._root.lock(f"{parse_tunnel_id(tunnel)}{LOCK}")))
        except BlockingIOError:
            raise WrongState(
                "tunnel.busy",
                f"another command is working on tunnel {tunnel[:8]}",
                next_step="Wait for it to end, then run this again.",
            ) from None

    def _again(self, take: Callable[[], None]) -> None:
        """Take something in the folder; once more where another process took the empty folder away at this moment."""
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError):
                self._make()
                return take()
        raise BlockingIOError(self._root.path)

    def _go_when_empty(self) -> None:
        self._root.remove_when_empty()
        for folder in self._above:
            with suppress(OSError):  # not empty: another tunnel's, or another process has just begun
                folder.rmdir()

    @contextmanager
    def turn(self) -> Iterator[None]:
        try:
            with ExitStack() as held:
                self._again(lambda: held.enter_context(self._root.turn()))
                yield
        finally:
            self._go_when_empty()

    def put(self, tunnel: TunnelId, name: str, value: Secret[bytes]) -> None:
        self._make()
        folder = self._folder(tunnel)
        folder.make()
        folder.write(_checked(name), value.reveal())

    def get(self, tunnel: TunnelId, name: str) -> Secret[bytes] | None:
        data = self._folder(tunnel).read(_checked(name))
        return None if data is None else Secret(data)

    def drop(self, tunnel: TunnelId, name: str) -> None:
        self._folder(tunnel).erase_one(_checked(name))

    def path(self, tunnel: TunnelId, name: str) -> str:
        return str(self._folder(tunnel).path / _checked(name))

    def tunnels(self) -> Sequence[TunnelId]:
        # One that is only held is there too: a lock whose holder was killed before its first `put` goes with the next hold.
        # Whatever has no tunnel's name is not ours, and keeps nobody from ending what is.
        names = {name.removesuffix(LOCK) for name in self._root.names()}
        return sorted(parse_tunnel_id(name) for name in names if TUNNEL.fullmatch(name))

    def erase(self, tunnel: TunnelId) -> None:
        self._folder(tunnel).erase()
        self._go_when_empty()

    def _make(self) -> None:
        self._root.make()
        self._check_medium()

    def _check_medium(self) -> None:
        if not lies_in_memory(self._root.path):
            raise UsageError(
                "vault.disk",
                f"{self._root.path} is on a disk, and session secrets may lie in memory only",
                next_step=how_to_have_one(),
            )

    def _folder(self, tunnel: TunnelId) -> PrivateFolder:
        return PrivateFolder(self._root.path / parse_tunnel_id(tunnel), secret=True)


def _checked(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"not a name for a vault entry: {name!r}")
    return name
