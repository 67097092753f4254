"""The same cases over the ledger on disk and the one in memory; then what only a disk can have: broken files."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters import ledger_disk
from support_tunnel.adapters.ledger_disk import DiskLedger
from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Ledger, LedgerEntry
from support_tunnel.core.report import Report, Step
from support_tunnel.core.secret import Secret
from support_tunnel.testing.records import MemoryLedger
from support_tunnel.testing.shells import ScratchShell

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ENTRY = LedgerEntry(TunnelId("ab" * 16), "local", "intended", NOW, NOW + timedelta(hours=1), device_name="Küche")
LATER = dataclasses.replace(ENTRY, tunnel=TunnelId("01" * 16), created=NOW + timedelta(minutes=1))


@pytest.fixture(params=["disk", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return DiskLedger(tmp_path / "ledger") if request.param == "disk" else MemoryLedger()


def test_an_empty_ledger_has_nothing(ledger: Ledger) -> None:
    assert list(ledger.entries()) == []
    assert ledger.read(ENTRY.tunnel) is None
    ledger.remove(ENTRY.tunnel)


def test_what_is_written_is_read_back_oldest_first(ledger: Ledger) -> None:
    ledger.write(LATER)
    ledger.write(ENTRY)
    assert ledger.read(ENTRY.tunnel) == ENTRY
    assert list(ledger.entries()) == [ENTRY, LATER]


def test_writing_again_replaces_and_removing_removes(ledger: Ledger) -> None:
    ledger.write(ENTRY)
    launched = dataclasses.replace(ENTRY, stage="launched", server_id="i-1", server_address="192.0.2.1")
    ledger.write(launched)
    assert list(ledger.entries()) == [launched]
    ledger.remove(ENTRY.tunnel)
    assert list(ledger.entries()) == []


def report(number: int, at: datetime = NOW) -> Report:
    return Report(f"{number:032x}", "T-1", at, (Step("nodes deleted", True, "2"), Step("user deleted", False, "500")))


def test_how_tunnels_ended_is_kept_the_latest_first_and_is_no_entry(ledger: Ledger) -> None:
    assert list(ledger.reports()) == []
    ledger.keep_report(report(1))
    ledger.keep_report(report(2, NOW + timedelta(minutes=1)))
    assert list(ledger.reports()) == [report(2, NOW + timedelta(minutes=1)), report(1)]
    again = Report(report(1).tunnel, "T-1", NOW + timedelta(minutes=2), ())
    ledger.keep_report(again)
    assert next(iter(ledger.reports())) == again
    assert len(ledger.reports()) == 2
    assert list(ledger.entries()) == []


def test_the_oldest_of_many_reports_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_disk, "KEPT", 3)
    disk = DiskLedger(tmp_path / "ledger")
    for number in range(5):
        disk.keep_report(report(number, NOW + timedelta(minutes=number)))
    assert [int(kept.tunnel, 16) for kept in disk.reports()] == [4, 3, 2]
    (tmp_path / "reports" / f"{4:032x}.json").write_text("broken")
    assert [int(kept.tunnel, 16) for kept in disk.reports()] == [3, 2]


def test_an_entry_of_an_older_tool_is_read(disk: DiskLedger, file: Path) -> None:
    document = json.loads(file.read_text())
    del document["headscale"], document["ticket"]
    file.write_text(json.dumps(document))
    assert disk.read(ENTRY.tunnel) == ENTRY


@pytest.fixture
def disk(tmp_path: Path) -> DiskLedger:
    ledger = DiskLedger(tmp_path / "my ledger")
    ledger.write(ENTRY)
    return ledger


@pytest.fixture
def file(tmp_path: Path, disk: DiskLedger) -> Path:
    return tmp_path / "my ledger" / f"{ENTRY.tunnel}.json"


def refused(disk: DiskLedger, file: Path) -> None:
    before = file.read_bytes()
    for read in (lambda: disk.read(ENTRY.tunnel), disk.entries):
        with pytest.raises(UsageError) as caught:
            read()
        assert caught.value.code == "ledger.file"
        assert str(file) in caught.value.message
        assert f"mv '{file}'" in caught.value.next_step
    assert file.read_bytes() == before


def test_a_file_cut_anywhere_is_refused_and_kept(disk: DiskLedger, file: Path) -> None:
    whole = file.read_bytes()
    for length in range(len(whole) - 2):  # without its last brace; the newline after it is no content
        file.write_bytes(whole[:length])
        refused(disk, file)


CHANGES: list[dict[str, Any]] = [
    {"schema": 2},
    {"schema": True},
    {"schema": "1"},
    {"stage": "unheard-of"},
    {"created": "2030-01-01T12:00:00"},
    {"created": "2030-01-01T12:00:00+02:00"},
    {"expires": "tomorrow"},
    {"tunnel": "cd" * 16},
    {"tunnel": "../../etc"},
    {"server_id": None},
    {"server_id": 5},
    {"extra": ""},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_foreign_file_is_refused_and_kept(disk: DiskLedger, file: Path, change: dict[str, Any]) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    refused(disk, file)


@pytest.mark.parametrize("text", ["", "[]", "null", "\ufeff{}", '{"schema":1,"schema":1}', "\x00"])
def test_what_is_no_ledger_file_at_all_is_refused_and_kept(disk: DiskLedger, file: Path, text: str) -> None:
    file.write_text(text)
    refused(disk, file)


def test_a_field_that_is_there_twice_is_refused(disk: DiskLedger, file: Path) -> None:
    file.write_text(file.read_text().replace('"cloud"', '"cloud": "other",\n "cloud"'))
    refused(disk, file)


def test_a_missing_field_is_refused(disk: DiskLedger, file: Path) -> None:
    document = json.loads(file.read_text())
    del document["cloud"]
    file.write_text(json.dumps(document))
    refused(disk, file)


def test_the_repair_it_names_works_and_keeps_the_file(disk: DiskLedger, file: Path, tmp_path: Path) -> None:
    file.write_text("broken")
    with pytest.raises(UsageError) as caught:
        disk.entries()
    command = caught.value.next_step.partition("(")[2].partition(")")[0]
    assert ScratchShell(tmp_path).run_script(Secret(command), timeout=10).status == 0
    assert list(disk.entries()) == []
    assert [path.read_text() for path in tmp_path.glob("my ledger.aside-*")] == ["broken"]
