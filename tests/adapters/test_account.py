"""The account of what servers cost, on disk and in memory: what was written is read, and old months are forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support_tunnel.adapters.account_disk import DiskAccount
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Account
from support_tunnel.core.spending import Rental
from support_tunnel.testing.records import MemoryAccount

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
ONE = Rental(TunnelId("ab" * 16), "ec2", NOW, NOW + timedelta(hours=2), 0.01)
TWO = Rental(TunnelId("cd" * 16), "local", NOW - timedelta(days=1), NOW, None)


@pytest.fixture(params=["disk", "memory"])
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Account:
    return DiskAccount(tmp_path / "account") if request.param == "disk" else MemoryAccount()


def test_what_was_written_is_read_oldest_first(account: Account) -> None:
    assert list(account.rentals()) == []
    account.write(ONE)
    account.write(TWO)
    assert list(account.rentals()) == [TWO, ONE]
    ended = replace(ONE, ended=NOW + timedelta(hours=1))
    account.write(ended)
    assert list(account.rentals()) == [TWO, ended]


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    DiskAccount(tmp_path / "account").write(ONE)
    assert list(DiskAccount(tmp_path / "account").rentals()) == [ONE]
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "account").iterdir()] == [0o600]


def test_last_month_is_kept_and_what_was_before_is_not(tmp_path: Path) -> None:
    account = DiskAccount(tmp_path / "account")
    account.write(TWO)
    account.write(replace(ONE, began=NOW + timedelta(days=31), until=NOW + timedelta(days=32)))
    assert len(account.rentals()) == 2
    later = Rental(TunnelId("ef" * 16), "ec2", NOW + timedelta(days=80), NOW + timedelta(days=81), 0.01)
    account.write(later)
    assert [one.tunnel for one in account.rentals()] == [ONE.tunnel, later.tunnel]


@pytest.mark.parametrize(
    "spoilt",
    [
        "",
        "null",
        "[]",
        '{"tunnel": 1}',
        "{",
        '{"tunnel":"x","cloud":"a","began":"2026-01-01","until":1,"hourly":"1","ended":null}',
    ],
)
def test_a_damaged_file_is_no_rental_and_keeps_nobody_from_working(tmp_path: Path, spoilt: str) -> None:
    account = DiskAccount(tmp_path / "account")
    account.write(ONE)
    (tmp_path / "account" / f"{TWO.tunnel}.json").write_text(spoilt)
    assert list(account.rentals()) == [ONE]
    account.write(TWO)
    assert list(account.rentals()) == [TWO, ONE]
