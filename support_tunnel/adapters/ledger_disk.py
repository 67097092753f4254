"""The admin's record of their tunnels: one JSON file a tunnel, there before the effect it announces (2.16).

Must not hold a secret, and must not guess: a file that is not exactly what `write` wrote is reported, never skipped and
never deleted, because it may be the only trace of a server that costs money.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

from support_tunnel.adapters.private_files import PrivateFolder
from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import TunnelId, parse_tunnel_id
from support_tunnel.core.ports import LedgerEntry, Stage
from support_tunnel.core.report import Report

__all__ = ["SCHEMA", "DiskLedger"]

SCHEMA = 1
SUFFIX = ".json"
FIELDS = {field.name for field in dataclasses.fields(LedgerEntry)} | {"schema"}
SINCE = {"headscale", "image", "nonce", "ticket"}
"""Fields that an older tool did not write."""
REPORTS = "reports"
"""Folder beside the ledger's, so that what is over is no entry of it."""
KEPT = 200
"""Reports of endings."""


class DiskLedger:
    """`ports.Ledger` in a folder of this user. Raises UsageError `ledger.file` and `file.*`, naming the file."""

    def __init__(self, folder: Path) -> None:
        self._folder = PrivateFolder(folder)
        self._ended = PrivateFolder(folder.parent / REPORTS)

    def write(self, entry: LedgerEntry) -> None:
        self._folder.make()
        document = dataclasses.asdict(entry) | {
            "schema": SCHEMA,
            "created": entry.created.isoformat(),
            "expires": entry.expires.isoformat(),
        }
        self._folder.write(entry.tunnel + SUFFIX, json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")

    def read(self, tunnel: TunnelId) -> LedgerEntry | None:
        data = self._folder.read(tunnel + SUFFIX)
        return None if data is None else self._parse(tunnel + SUFFIX, data)

    def entries(self) -> Sequence[LedgerEntry]:
        """All tunnels, oldest first."""
        found = [(name, self._folder.read(name)) for name in self._folder.names()]
        parsed = [self._parse(name, data) for name, data in found if data is not None]
        return sorted(parsed, key=lambda entry: (entry.created, entry.tunnel))

    def remove(self, tunnel: TunnelId) -> None:
        self._folder.remove(tunnel + SUFFIX)

    def keep_report(self, report: Report) -> None:
        self._ended.make()
        self._ended.write(report.tunnel + SUFFIX, json.dumps(report.to_dict(), indent=1).encode() + b"\n")
        for old in self.reports()[KEPT:]:
            self._ended.remove(old.tunnel + SUFFIX)

    def reports(self) -> Sequence[Report]:
        """The latest first. One that cannot be read is left out: nothing hangs on it."""
        found: list[Report] = []
        for name in self._ended.names():
            with suppress(ValueError):
                found.append(Report.from_dict(json.loads(self._ended.read(name) or b"null")))
        return sorted(found, key=lambda report: (report.at, report.tunnel), reverse=True)

    def _parse(self, name: str, data: bytes) -> LedgerEntry:
        try:
            return _entry(name, data)
        except (ValueError, UsageError) as error:  # JSON and Unicode errors are ValueErrors
            path = self._folder.path / name
            aside = shlex.join(["mv", str(path), f"{path.parent}.aside-{name}"])
            raise UsageError(
                "ledger.file",
                f"{path} is not a ledger file of this version: {error}",
                next_step=f"Move it out of the folder ({aside}), then run `fab gc`: it finds servers by their tags.",
            ) from error


def _entry(name: str, data: bytes) -> LedgerEntry:
    document = json.loads(data.decode(), object_pairs_hook=_without_duplicates)
    if not isinstance(document, dict) or set(document) | SINCE != FIELDS:
        raise ValueError("its fields are not the expected ones")
    if type(document["schema"]) is not int or document.pop("schema") != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    if not all(isinstance(value, str) for value in document.values()):
        raise ValueError("a field is not text")
    if name != parse_tunnel_id(document["tunnel"]) + SUFFIX:
        raise ValueError("it is about another tunnel than its name says")
    if document["stage"] not in get_args(Stage):
        raise ValueError("its stage is unknown")
    document["created"], document["expires"] = _utc(document["created"]), _utc(document["expires"])
    return LedgerEntry(**document)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a field is there twice")
    return document


def _utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.utcoffset() != timedelta(0):
        raise ValueError("a time is not UTC")
    return time
