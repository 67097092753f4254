"""The store in one SQLite file: plain `sqlite3`, because the few statements here are the whole need (docs/api.md).

Every write is one IMMEDIATE transaction, synced to disk before the reply: an acknowledged message survives kill -9 and
power loss. The module must not know tokens in clear, HTTP or rights.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from support_tunnel.api.sqlite_schema import migrate
from support_tunnel.api.store import (
    CONTROL_KEPT,
    AdminToken,
    Counts,
    Ended,
    Message,
    Outcome,
    Put,
    Receipt,
    StoreFull,
    StoreUnavailable,
    Summary,
    Tunnel,
)
from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import TunnelId

__all__ = ["SqliteStore"]

PAGE: Final = 4096
DEVICE: Final = ""
"""Writer's name of rows the device wrote; admins have the name of their token, which is never empty."""

RETIRE: Final = """
INSERT INTO history SELECT tid, created, min(expires, ifnull(closed, expires)),
    (SELECT group_concat(DISTINCT slot) FROM messages WHERE messages.tid = tunnels.tid),
    (SELECT writer FROM messages WHERE messages.tid = tunnels.tid AND slot = 'answer')
FROM tunnels WHERE expires <= ?
"""


class SqliteStore:
    """One connection, one lock: SQLite has one writer anyway, and a process of this API has few readers."""

    def __init__(self, path: Path, *, max_bytes: int = 256 * 1024 * 1024, patience: float = 2.0) -> None:
        self._lock = threading.Lock()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would create it by umask; its -wal and -shm take over the mode of this file.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        self._db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(max_bytes)
        except sqlite3.Error as error:
            self._db.close()
            raise UsageError(
                "api.store",
                f"{path} is not a mailbox store, or another program has it locked",
                next_step="Move the file away; a new and empty one is made.",
            ) from error
        except UsageError:
            self._db.close()
            raise

    def _prepare(self, max_bytes: int) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute(f"PRAGMA max_page_count = {max(1, max_bytes // PAGE)}")
        with self._transaction() as db:
            migrate(db)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with _translated(), self._transaction() as db:
            yield db

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with _translated(), self._lock:
            yield self._db

    # --- tunnels

    def put(self, row: Put, now: datetime) -> Outcome:
        with self._write() as db:
            db.execute("DELETE FROM tunnels WHERE tid = ? AND expires <= ?", (row.tunnel, _epoch(now)))
            there = db.execute(
                "SELECT device_sha256, claim_sha256, ttl, data FROM tunnels JOIN messages USING (tid)"
                " WHERE tid = ? AND slot = 'offer'",
                (row.tunnel,),
            ).fetchone()
            if there is not None:
                same = there == (row.device_sha256, row.claim_sha256, row.ttl, row.offer)
                return Outcome.SAME if same else Outcome.TAKEN
            created = _epoch(now)
            db.execute(
                "INSERT INTO tunnels VALUES (?, ?, ?, ?, ?, ?, NULL)",
                (row.tunnel, row.device_sha256, row.claim_sha256, row.ttl, created, created + row.ttl),
            )
            db.execute("INSERT INTO messages VALUES (?, 1, 'offer', ?, ?, ?)", (row.tunnel, row.offer, DEVICE, created))
            return Outcome.STORED

    def tunnel(self, tunnel: TunnelId, now: datetime) -> Tunnel | None:
        with self._read() as db:
            row = db.execute(
                "SELECT device_sha256, claim_sha256, created, expires, closed FROM tunnels"
                " WHERE tid = ? AND expires > ?",
                (tunnel, _epoch(now)),
            ).fetchone()
        if row is None:
            return None
        device, claim, created, expires, closed = row
        return Tunnel(tunnel, device, claim, _time(created), _time(expires), None if closed is None else _time(closed))

    def append(self, tunnel: TunnelId, slot: str, data: bytes, *, by: str, now: datetime) -> Receipt:
        with self._write() as db:
            row = db.execute(
                "SELECT closed FROM tunnels WHERE tid = ? AND expires > ?", (tunnel, _epoch(now))
            ).fetchone()
            if row is None:
                return Receipt(Outcome.GONE)
            control = slot.startswith("control-")
            held = db.execute(
                "SELECT data, writer, at FROM messages WHERE tid = ? AND slot = ?", (tunnel, slot)
            ).fetchall()
            if any(old == data for old, _, _ in held):
                return Receipt(Outcome.SAME)
            if held and not control:
                _, writer, at = held[0]
                return Receipt(Outcome.TAKEN, writer, _time(at))
            if row[0] is not None and not control:
                return Receipt(Outcome.CLOSED)
            # The newest row is never pruned, so the numbers rise without a counter of their own.
            db.execute(
                "INSERT INTO messages SELECT ?, max(number) + 1, ?, ?, ?, ? FROM messages WHERE tid = ?",
                (tunnel, slot, data, by, _epoch(now), tunnel),
            )
            if control:
                db.execute(
                    "DELETE FROM messages WHERE tid = ? AND slot = ? AND number NOT IN"
                    " (SELECT number FROM messages WHERE tid = ? AND slot = ? ORDER BY number DESC LIMIT ?)",
                    (tunnel, slot, tunnel, slot, CONTROL_KEPT),
                )
            return Receipt(Outcome.STORED)

    def messages(self, tunnel: TunnelId, after: int) -> Sequence[Message]:
        with self._read() as db:
            rows = db.execute(
                "SELECT number, slot, data FROM messages WHERE tid = ? AND number > ? ORDER BY number", (tunnel, after)
            ).fetchall()
        return [Message(*row) for row in rows]

    def close_tunnel(self, tunnel: TunnelId, now: datetime) -> None:
        with self._write() as db:
            db.execute("UPDATE tunnels SET closed = ? WHERE tid = ? AND closed IS NULL", (_epoch(now), tunnel))

    def open_tunnels(self, now: datetime) -> Sequence[Summary]:
        with self._read() as db:
            rows = db.execute(
                "SELECT tid, created, expires, group_concat(DISTINCT slot), max(CASE slot WHEN 'answer' THEN writer END)"
                " FROM tunnels JOIN messages USING (tid) WHERE closed IS NULL AND expires > ?"
                " GROUP BY tid ORDER BY created, tid",
                (_epoch(now),),
            ).fetchall()
        return [
            Summary(TunnelId(tid), tuple(sorted(slots.split(","))), _time(created), _time(expires), answered_by)
            for tid, created, expires, slots, answered_by in rows
        ]

    def purge(self, now: datetime, *, history: timedelta) -> int:
        try:
            return self._purge(now, history)
        except StoreFull:
            # Room first: a store that is full of what has expired must not stay full for want of room for its history.
            return self._purge(now, timedelta(0))

    def _purge(self, now: datetime, history: timedelta) -> int:
        with self._write() as db:
            db.execute("DELETE FROM history WHERE ended <= ?", (_epoch(now - history),))
            if history:
                db.execute(RETIRE, (_epoch(now),))
            return db.execute("DELETE FROM tunnels WHERE expires <= ?", (_epoch(now),)).rowcount

    def history(self) -> Sequence[Ended]:
        with self._read() as db:
            rows = db.execute("SELECT tid, slots, created, ended, answered_by FROM history ORDER BY created, tid")
            return [
                Ended(TunnelId(tid), tuple(sorted(slots.split(","))), _time(created), _time(ended), answered_by)
                for tid, slots, created, ended, answered_by in rows.fetchall()
            ]

    def count(self, now: datetime) -> Counts:
        with self._read() as db:
            alive, closed = db.execute(
                "SELECT count(*), count(closed) FROM tunnels WHERE expires > ?", (_epoch(now),)
            ).fetchone()
        return Counts(alive - closed, closed)

    # --- tokens

    def add_token(self, name: str, sha256: bytes, rights: frozenset[str], now: datetime) -> bool:
        with self._write() as db:
            added = db.execute(
                "INSERT OR IGNORE INTO tokens VALUES (?, ?, ?, ?, NULL, NULL)",
                (sha256, name, ",".join(sorted(rights)), _epoch(now)),
            )
            return added.rowcount == 1

    def revoke_token(self, name: str, now: datetime) -> bool:
        with self._write() as db:
            done = db.execute("UPDATE tokens SET revoked = ? WHERE name = ? AND revoked IS NULL", (_epoch(now), name))
            return done.rowcount == 1

    def tokens(self) -> Sequence[AdminToken]:
        with self._read() as db:
            rows = db.execute("SELECT name, rights, created, last_used, revoked FROM tokens ORDER BY created, name")
            return [_token(row) for row in rows.fetchall()]

    def live_token(self, sha256: bytes) -> AdminToken | None:
        with self._read() as db:
            row = db.execute(
                "SELECT name, rights, created, last_used, revoked FROM tokens WHERE sha256 = ? AND revoked IS NULL",
                (sha256,),
            ).fetchone()
        return None if row is None else _token(row)

    def note_use(self, name: str, now: datetime) -> None:
        with self._write() as db:
            db.execute("UPDATE tokens SET last_used = ? WHERE name = ? AND revoked IS NULL", (_epoch(now), name))

    # --- the store itself

    def check(self) -> None:
        with self._read() as db:
            db.execute("SELECT count(*) FROM tunnels").fetchone()

    async def changes(self) -> AsyncGenerator[TunnelId | None, None]:
        """None: one process serves the file, others only look or make tokens."""
        others: tuple[TunnelId, ...] = ()
        for tunnel in others:
            yield tunnel

    def disconnect(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.disconnect()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreFull from error
        raise StoreUnavailable from error


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())  # rounded down: a tunnel ends a moment early, never late


def _time(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def _token(row: tuple[str, str, int, int | None, int | None]) -> AdminToken:
    name, rights, created, last_used, revoked = row
    return AdminToken(
        name,
        frozenset(rights.split(",")),
        _time(created),
        None if last_used is None else _time(last_used),
        None if revoked is None else _time(revoked),
    )
