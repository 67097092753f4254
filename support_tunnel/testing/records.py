"""What the two machines keep, for tests: ledger, journal and acquaintances in memory, a vault in any folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.core.audit import Entry
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Clock, LedgerEntry, LoggedSession, Met
from support_tunnel.core.report import Report
from support_tunnel.core.spending import Rental
from support_tunnel.testing.clock import ManualClock

__all__ = ["FolderVault", "MemoryAccount", "MemoryAcquaintances", "MemoryJournal", "MemoryLedger"]


class MemoryLedger:
    """`ports.Ledger` that outlives the flow under test, as a disk outlives a process."""

    def __init__(self) -> None:
        self._entries: dict[TunnelId, LedgerEntry] = {}
        self._reports: dict[str, Report] = {}

    def write(self, entry: LedgerEntry) -> None:
        self._entries[entry.tunnel] = entry

    def read(self, tunnel: TunnelId) -> LedgerEntry | None:
        return self._entries.get(tunnel)

    def entries(self) -> Sequence[LedgerEntry]:
        return sorted(self._entries.values(), key=lambda entry: (entry.created, entry.tunnel))

    def remove(self, tunnel: TunnelId) -> None:
        self._entries.pop(tunnel, None)

    def keep_report(self, report: Report) -> None:
        self._reports[report.tunnel] = report

    def reports(self) -> Sequence[Report]:
        return sorted(self._reports.values(), key=lambda report: (report.at, report.tunnel), reverse=True)


class MemoryAccount:
    """`ports.Account` that outlives the flow under test."""

    def __init__(self) -> None:
        self._rentals: dict[tuple[TunnelId, datetime], Rental] = {}

    def write(self, rental: Rental) -> None:
        self._rentals[rental.tunnel, rental.began] = rental

    def rentals(self) -> Sequence[Rental]:
        return sorted(self._rentals.values(), key=lambda rental: (rental.began, rental.tunnel))


class FolderVault(TmpfsVault):
    """`ports.Vault` in a test's own folder, which need not be in memory. The files are real: `path` may be given to ssh."""

    def _check_medium(self) -> None:
        """A test's secrets are made up."""


class MemoryJournal:
    """`ports.Journal`: a hash chain without the MACs of the real one; `lines` keeps what was written."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or ManualClock()
        self._entries: dict[TunnelId, list[Entry]] = {}
        self.lines: dict[TunnelId, list[str]] = {}

    def append(self, tunnel: TunnelId, event: str, data: Mapping[str, str | int]) -> str:
        self._entries.setdefault(tunnel, []).append(Entry(self._clock.now(), event, dict(data)))
        self.lines.setdefault(tunnel, []).append(json.dumps([event, dict(data)], sort_keys=True))
        return self.head(tunnel)

    def head(self, tunnel: TunnelId) -> str:
        head = "0" * 64
        for line in self.lines.get(tunnel, []):
            head = hashlib.sha256((head + line).encode()).hexdigest()
        return head

    def sessions(self) -> Sequence[LoggedSession]:
        return [LoggedSession(tunnel[:8], tunnel, tuple(told), "") for tunnel, told in self._entries.items()]


class MemoryAcquaintances:
    """`ports.Acquaintances` that outlive the flow under test."""

    def __init__(self) -> None:
        self._met: dict[str, Met] = {}

    def met(self, fingerprint: str) -> Met:
        return self._met.get(fingerprint, Met(0, None))

    def remember(self, fingerprint: str, name: str, when: datetime) -> None:
        self._met[fingerprint] = Met(self.met(fingerprint).times + 1, when)
