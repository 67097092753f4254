"""A backup of either store goes into the other, and comes back the same: tokens and history, and never a message."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from support_tunnel.api.postgres_backup import backup_database, restore_database
from support_tunnel.api.postgres_store import PostgresStore
from support_tunnel.api.sqlite_backup import backup_store, restore_store
from support_tunnel.api.sqlite_store import SqliteStore
from support_tunnel.api.store import Store
from support_tunnel.api.tokens import create_token
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.api.postgres import Postgres
from tests.api.rows import row

WEEK = timedelta(days=7)


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[Secret[str]]:
    """A database in which there is nothing yet, not even a table."""
    with postgres.database("template0") as name:
        yield postgres.dsn(name)


def live_a_little(store: Store, clock: ManualClock) -> None:
    """Tokens of every kind, a tunnel that ended, one that waits."""
    for name in ("Ann", "Bob"):
        create_token(store, name=name, clock=clock)
    store.add_token("metrics", b"m" * 32, frozenset({"metrics"}), clock.now())
    store.note_use("Ann", clock.now())
    store.revoke_token("Bob", clock.now())
    for tunnel in (ended := row(b"m1 of an ended one", 10), row(b"m1 that waits", 600)):
        store.put(tunnel, clock.now())
    store.append(ended.tunnel, "answer", b"m2", by="Ann", now=clock.now())
    clock.advance(10)
    store.purge(clock.now(), history=WEEK)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(SupportTunnelError) as refused:
        call()
    return refused.value.code


def test_from_sqlite_to_postgres_and_back(
    tmp_path: Path, database: Secret[str], empty: Secret[str], clock: ManualClock
) -> None:
    files = [tmp_path / name for name in ("one.backup", "two.backup", "three.backup")]
    with SqliteStore(tmp_path / "mailbox.sqlite") as first:
        live_a_little(first, clock)
        tokens, history = first.tokens(), first.history()
        assert (len(tokens), len(history)) == (3, 1)
    backup_store(tmp_path / "mailbox.sqlite", files[0])
    restore_database(files[0], empty)
    with PostgresStore(empty) as second:
        assert (second.tokens(), second.history(), second.count(clock.now()).open) == (tokens, history, 0)
        assert second.live_token(b"m" * 32) is not None
        second.put(row(b"m1 of another"), clock.now())
    backup_database(empty, files[1])
    restore_store(files[1], tmp_path / "third.sqlite")
    with SqliteStore(tmp_path / "third.sqlite") as third:
        assert (third.tokens(), third.history()) == (tokens, history)
    backup_store(tmp_path / "third.sqlite", files[2])
    restore_database(files[2], database)
    with PostgresStore(database) as last:
        assert (last.tokens(), last.history()) == (tokens, history)
    for file in files:
        assert oct(file.stat().st_mode & 0o777) == "0o600"
        assert b"m1 " not in file.read_bytes()


def test_nothing_is_replaced(tmp_path: Path, database: Secret[str], clock: ManualClock) -> None:
    file = tmp_path / "a.backup"
    with PostgresStore(database) as store:
        live_a_little(store, clock)
        backup_database(database, file)
        assert code_of(lambda: backup_database(database, file)) == "backup.exists"
        before = (store.tokens(), store.history(), store.count(clock.now()))
        assert code_of(lambda: restore_database(file, database)) == "backup.live"
        assert (store.tokens(), store.history(), store.count(clock.now())) == before


def test_what_is_no_backup_changes_nothing(tmp_path: Path, database: Secret[str]) -> None:
    file = tmp_path / "a.backup"
    assert code_of(lambda: restore_database(file, database)) == "backup.file"
    file.write_bytes(b"something else " * 1000)
    assert code_of(lambda: restore_database(file, database)) == "backup.file"
    with PostgresStore(database) as store:
        assert list(store.tokens()) == []


def test_an_old_backup_is_one_too(tmp_path: Path, database: Secret[str], clock: ManualClock) -> None:
    """Of the first schema, which had no history."""
    with SqliteStore(tmp_path / "mailbox.sqlite") as store:
        create_token(store, name="Ann", clock=clock)
    with closing(sqlite3.connect(tmp_path / "mailbox.sqlite")) as db:
        db.execute("DROP TABLE history")
        db.execute("PRAGMA user_version = 1")
    backup_store(tmp_path / "mailbox.sqlite", tmp_path / "a.backup")
    restore_database(tmp_path / "a.backup", database)
    with PostgresStore(database) as restored:
        assert [token.name for token in restored.tokens()] == ["Ann"]


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    nowhere = Secret(f"host={tmp_path} dbname=x user=x password=hunter2")
    with pytest.raises(SupportTunnelError) as refused:
        backup_database(nowhere, tmp_path / "a.backup")
    assert refused.value.code == "store.unavailable"
    assert "hunter2" not in f"{refused.value} {refused.value.__cause__}"
    assert not (tmp_path / "a.backup").exists()
