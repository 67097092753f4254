"""Backup and restore of a store in PostgreSQL, also while the service runs. The file is the SQLite store's, with the same in it.

So a backup of either store can be restored into the other, and that is how one moves. No message is ever read here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from support_tunnel.api.postgres_link import Database
from support_tunnel.api.postgres_schema import migrate
from support_tunnel.api.sqlite_backup import open_backup, write_backup
from support_tunnel.api.sqlite_schema import migrate as migrate_sqlite
from support_tunnel.api.sqlite_schema import version_of
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.secret import Secret

__all__ = ["backup_database", "restore_database"]

TOKENS: Final = "SELECT sha256, name, rights, created, last_used, revoked FROM tokens"
HISTORY: Final = "SELECT tid, created, ended, slots, answered_by FROM history"


def backup_database(database: Secret[str], file: Path) -> None:
    """Write a backup, 0600, whole or not at all.

    Raises UsageError `backup.exists`, HostError `backup.failed`, `store.unavailable`, and what opening the store raises.
    """
    with _connected(database) as db, db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")  # one moment for both tables
        tokens = [_flat(row) for row in db.execute(TOKENS)]
        history = [_flat(row) for row in db.execute(HISTORY)]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        migrate_sqlite(copy)
        copy.executemany("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?)", tokens)
        copy.executemany("INSERT INTO history VALUES (?, ?, ?, ?, ?)", history)
        write_backup(copy, file)


def restore_database(file: Path, database: Secret[str]) -> None:
    """Fill a database in which there is nothing yet.

    Raises UsageError `backup.live`, `backup.file`, HostError `store.unavailable`, and what opening the store raises.
    """
    with open_backup(file) as source:
        tokens = source.execute(TOKENS).fetchall()
        history = source.execute(HISTORY).fetchall() if version_of(source) > 1 else []  # the first one had none
    with _connected(database) as db, db.transaction():
        db.execute("LOCK TABLE tokens, history, tunnels IN EXCLUSIVE MODE")
        for table in ("SELECT 1 FROM tokens", "SELECT 1 FROM history", "SELECT 1 FROM tunnels"):
            if db.execute(f"{table} LIMIT 1").fetchone() is not None:
                raise UsageError(
                    "backup.live",
                    "there is a store in that database; a backup never replaces one",
                    next_step="Stop the API, make an empty database, name that one, and try again.",
                )
        with db.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO tokens (sha256, name, rights, created, last_used, revoked) VALUES (%s, %s, %s, %s, %s, %s)",
                [(sha256, name, rights.split(","), *map(_time, times)) for sha256, name, rights, *times in tokens],
            )
            cursor.executemany(
                "INSERT INTO history (tid, created, ended, slots, answered_by) VALUES (%s, %s, %s, %s, %s)",
                [(tid, _time(made), _time(end), slots.split(","), by) for tid, made, end, slots, by in history],
            )


@contextmanager
def _connected(database: Secret[str]) -> Iterator[psycopg.Connection[Any]]:
    options = Database(database).options
    try:
        with closing(psycopg.connect(**options)) as db:
            migrate(db)
        with closing(psycopg.connect(**options)) as db:
            yield db
    except psycopg.Error as error:
        raise HostError(
            "store.unavailable",
            "the database cannot be reached, or it refused",
            next_step="See that it is up and has room, then try again.",
        ) from error


def _flat(row: Sequence[object]) -> tuple[object, ...]:
    """A row as SQLite's tables have it: seconds, and words with commas between them."""
    return tuple(_flat_value(value) for value in row)


def _flat_value(value: object) -> object:
    if isinstance(value, datetime):
        return int(value.timestamp())
    return ",".join(sorted(value)) if isinstance(value, list) else value


def _time(epoch: int | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)
