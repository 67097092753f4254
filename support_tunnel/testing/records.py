"""What an admin's machine keeps, for tests: a ledger in memory, a vault in any folder."""

from __future__ import annotations

from collections.abc import Sequence

from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LedgerEntry

__all__ = ["FolderVault", "MemoryLedger"]


class MemoryLedger:
    """`ports.Ledger` that outlives the flow under test, as a disk outlives a process."""

    def __init__(self) -> None:
        self._entries: dict[TunnelId, LedgerEntry] = {}

    def write(self, entry: LedgerEntry) -> None:
        self._entries[entry.tunnel] = entry

    def read(self, tunnel: TunnelId) -> LedgerEntry | None:
        return self._entries.get(tunnel)

    def entries(self) -> Sequence[LedgerEntry]:
        return sorted(self._entries.values(), key=lambda entry: (entry.created, entry.tunnel))

    def remove(self, tunnel: TunnelId) -> None:
        self._entries.pop(tunnel, None)


class FolderVault(TmpfsVault):
    """`ports.Vault` in a test's own folder, which need not be in memory. The files are real: `path` may be given to ssh."""

    def _check_medium(self) -> None:
        """A test's secrets are made up."""
