"""The SQLite store by itself and under its API: what it keeps, when it is full, locked, foreign or readable by others."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.sqlite_schema import SCHEMA_VERSION, SCHEMAS
from support_tunnel.api.sqlite_store import SqliteStore
from support_tunnel.api.store import Put
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock

CLAIM = Secret(bytes(32))
WEEK = timedelta(days=7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "mailbox.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path) as opened:
        yield opened


def row(offer: bytes = b"offer", ttl: int = 600) -> Put:
    return Put(TunnelId(secrets.token_hex(16)), offer, bytes(32), bytes(32), ttl)


def face(api: RunningApi, token: Secret[str] | None = None) -> HttpMailbox:
    return HttpMailbox(api.url, clock=SystemClock(), fingerprint=api.fingerprint, device_token=token, patience=0)


def test_only_its_owner_reads_the_files(path: Path, store: SqliteStore, clock: ManualClock) -> None:
    store.put(row(), clock.now())
    files = list(path.parent.iterdir())
    assert {file.name for file in files} == {"mailbox.sqlite", "mailbox.sqlite-wal", "mailbox.sqlite-shm"}
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert oct(path.parent.stat().st_mode & 0o777) == "0o700"


def test_what_was_acknowledged_is_there_after_opening_again(path: Path, clock: ManualClock) -> None:
    tunnel = row()
    with SqliteStore(path) as first:
        first.put(tunnel, clock.now())
        first.append(tunnel.tunnel, "answer", b"m2", by="Ann", now=clock.now())
    with SqliteStore(path) as second:
        assert [(m.number, m.slot, m.data) for m in second.messages(tunnel.tunnel, 0)] == [
            (1, "offer", b"offer"),
            (2, "answer", b"m2"),
        ]


def test_the_purge_deletes_what_expired_and_its_messages(path: Path, store: SqliteStore, clock: ManualClock) -> None:
    short, long = row(b"a message to be gone", ttl=10), row(ttl=20)
    for tunnel in (short, long):
        store.put(tunnel, clock.now())
    clock.advance(10)
    assert [store.purge(clock.now(), history=WEEK) for _ in range(2)] == [1, 0]
    assert list(store.messages(short.tunnel, 0)) == []
    assert len(store.messages(long.tunnel, 0)) == 1
    store.disconnect()  # folds the write-ahead log into the file
    assert b"a message to be gone" not in path.read_bytes()


def test_of_an_ended_tunnel_metadata_stays_for_a_while(path: Path, store: SqliteStore, clock: ManualClock) -> None:
    began, closed, ignored = clock.now(), row(b"sealed", ttl=600), row(ttl=900)
    store.put(closed, began)
    store.put(ignored, began)
    store.append(closed.tunnel, "answer", b"m2", by="Ann", now=began)
    clock.advance(60)
    store.close_tunnel(closed.tunnel, clock.now())
    clock.advance(840)
    assert store.purge(clock.now(), history=WEEK) == 2
    assert {(it.tunnel, it.slots, it.created, it.ended, it.answered_by) for it in store.history()} == {
        (closed.tunnel, ("answer", "offer"), began, began + timedelta(seconds=60), "Ann"),
        (ignored.tunnel, ("offer",), began, began + timedelta(seconds=900), None),
    }
    clock.advance(WEEK.total_seconds() - 1)
    store.purge(clock.now(), history=WEEK)
    assert [it.tunnel for it in store.history()] == [ignored.tunnel]
    store.purge(clock.now(), history=timedelta(0))
    assert list(store.history()) == []
    store.disconnect()
    assert closed.tunnel.encode() not in path.read_bytes()


def test_an_older_store_is_brought_up_to_date_and_keeps_its_rows(path: Path, clock: ManualClock) -> None:
    tunnel = row()
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        for statement in SCHEMAS[0].split(";\n"):
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")
    for _ in range(2):
        with SqliteStore(path) as store:
            store.put(tunnel, clock.now())
            assert [it.tunnel for it in store.open_tunnels(clock.now())] == [tunnel.tunnel]
            assert list(store.history()) == []


def test_a_store_of_another_schema_is_not_touched(path: Path) -> None:
    SqliteStore(path).disconnect()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(UsageError) as refused:
        SqliteStore(path)
    assert (refused.value.code, path.read_bytes()) == ("api.schema", before)


def test_a_file_that_is_no_store_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"something else " * 1000)
    with pytest.raises(UsageError, match=r"mailbox\.sqlite is not a mailbox store") as refused:
        SqliteStore(path)
    assert refused.value.code == "api.store"


def test_a_locked_store_is_503_and_nothing_is_lost(run_api: Callable[..., RunningApi], tmp_path: Path) -> None:
    api = run_api(store_patience=0.05)
    tunnel = row().tunnel
    with face(api) as device:
        device.open(tunnel, b"offer", claim=CLAIM, ttl=600)
        with closing(sqlite3.connect(tmp_path / "api" / "mailbox.sqlite", isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            with pytest.raises(HostError, match="status 503"):
                device.post(tunnel, "confirm", b"m3")
            assert len(device.messages(tunnel, after=0, wait=0)) == 1
        device.post(tunnel, "confirm", b"m3")
        assert [blob.data for blob in device.messages(tunnel, after=1, wait=0)] == [b"m3"]
