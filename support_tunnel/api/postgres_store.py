"""The store in PostgreSQL, for an API of several processes or hosts: the statements of the SQLite one in this database's words.

Races are decided by a row lock on the tunnel and the unique indexes behind it; a change is told to other processes by NOTIFY
in the transaction that makes it. The module must not know tokens in clear, HTTP or rights.

Over 300 lines: one class is one protocol, and its statements are compared with the other store's side by side.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString, TypeVar

import psycopg
from psycopg.errors import DeadlockDetected, SerializationFailure

from support_tunnel.api.postgres_link import Database, pool_of, translated
from support_tunnel.api.postgres_room import Room
from support_tunnel.api.postgres_schema import migrate
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
from support_tunnel.core.secret import Secret

__all__ = ["PostgresStore"]

LOG = logging.getLogger(__name__)
T = TypeVar("T")
Rows = psycopg.Connection[Any]

DEVICE: Final = ""
"""Writer's name of rows the device wrote; admins have the name of their token, which is never empty."""
CHANNEL: Final = "support_tunnel"
LISTEN_AGAIN: Final = 1.0
"""Seconds between two attempts to listen; until then readers of this process find other processes' messages when their poll ends."""
REFUSED_FOR: Final = 1.0
"""Seconds for which a database that could not be made ready is not asked again: all who want it then need not wait for it, one by one."""
TRIES: Final = 5
"""Of a transaction that the database itself asks to repeat."""

# One statement, so one snapshot: the messages are still seen while their tunnels go. Of two processes that purge at once,
# the second waits for the first one's rows and then finds them gone.
PURGE: Final = """
WITH gone AS (DELETE FROM tunnels WHERE expires <= %(now)s RETURNING tid, created, expires, closed),
kept AS (
    INSERT INTO history (tid, created, ended, slots, answered_by)
    SELECT tid, created, least(expires, coalesce(closed, expires)),
        ARRAY(SELECT DISTINCT slot FROM messages WHERE messages.tid = gone.tid),
        (SELECT writer FROM messages WHERE messages.tid = gone.tid AND slot = 'answer')
    FROM gone WHERE %(keep)s ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone
"""


class PostgresStore:
    """Connections in a pool, the schema brought up to date once. A server that does not answer yet is asked again by each call."""

    def __init__(self, database: Secret[str], *, max_bytes: int = 256 * 1024 * 1024, patience: float = 2.0) -> None:
        """Raises UsageError `database.string`, `api.schema`, `api.store`; a server that is down is no error here."""
        self._database = Database(database)
        self._room = Room(max_bytes)
        self._preparing = threading.Lock()
        self._prepared = threading.Event()
        self._refusal: Exception | None = None
        self._refused_until = 0.0
        self._patience = patience
        self._pool = pool_of(self._database, patience=patience)
        try:
            self._prepare()
        except StoreUnavailable as error:
            LOG.warning("the database cannot be used yet: %s", error.__cause__)
        except UsageError:
            self._pool.close()
            raise

    def _prepare(self) -> None:
        """One connects, the others wait for it with a request's patience, and take its failure for theirs."""
        if self._prepared.is_set():
            return
        if not self._preparing.acquire(timeout=self._patience):
            raise StoreUnavailable
        try:
            if self._prepared.is_set():
                return
            if time.monotonic() < self._refused_until:
                raise StoreUnavailable from self._refusal
            self._connect_first()
        finally:
            self._preparing.release()

    def _connect_first(self) -> None:
        try:
            with translated():
                db = psycopg.connect(**self._database.options)
                try:
                    migrate(db)
                finally:
                    db.close()
        except (StoreUnavailable, UsageError) as error:
            self._refusal = error
            self._refused_until = time.monotonic() + REFUSED_FOR
            raise
        self._prepared.set()

    def _make_ready(self) -> None:
        try:
            self._prepare()
        except UsageError as error:  # told to an operator at the start; by now to whoever reads the log
            LOG.error("%s: %s", error.code, error.message)  # noqa: TRY400 - an operator's mistake, no traceback of ours
            raise StoreUnavailable from error

    @contextmanager
    def _read(self) -> Iterator[Rows]:
        """One statement sees one state; nothing here reads twice."""
        self._make_ready()
        with translated(), self._pool.connection() as db:
            yield db

    def _write(self, work: Callable[[Rows], T]) -> T:
        """Run `work` in a transaction, again when the database asks for it (two that wait for each other)."""
        self._make_ready()
        for _ in range(TRIES - 1):
            try:
                return self._try(work)
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, SerializationFailure | DeadlockDetected):
                    raise
        return self._try(work)

    def _try(self, work: Callable[[Rows], T]) -> T:
        with translated(), self._pool.connection() as db, db.transaction():
            return work(db)

    # --- tunnels

    def put(self, row: Put, now: datetime) -> Outcome:
        created = _second(now)

        def work(db: Rows) -> Outcome:
            db.execute("DELETE FROM tunnels WHERE tid = %s AND expires <= %s", (row.tunnel, created))
            made = db.execute(
                "INSERT INTO tunnels VALUES (%s, %s, %s, %s, %s, %s, NULL) ON CONFLICT DO NOTHING",
                (
                    row.tunnel,
                    row.device_sha256,
                    row.claim_sha256,
                    row.ttl,
                    created,
                    created + timedelta(seconds=row.ttl),
                ),
            )
            if made.rowcount:
                self._room.take(db, len(row.offer))
                db.execute(
                    "INSERT INTO messages VALUES (%s, 1, 'offer', %s, %s, %s)", (row.tunnel, row.offer, DEVICE, created)
                )
                return Outcome.STORED
            there = db.execute(
                "SELECT device_sha256, claim_sha256, ttl, data FROM tunnels JOIN messages USING (tid)"
                " WHERE tid = %s AND slot = 'offer'",
                (row.tunnel,),
            ).fetchone()
            if there is None:
                raise SerializationFailure("the tunnel that was in the way has just expired")
            same = there == (row.device_sha256, row.claim_sha256, row.ttl, row.offer)
            return Outcome.SAME if same else Outcome.TAKEN

        return self._write(work)

    def tunnel(self, tunnel: TunnelId, now: datetime) -> Tunnel | None:
        with self._read() as db:
            row = db.execute(
                "SELECT device_sha256, claim_sha256, created, expires, closed FROM tunnels"
                " WHERE tid = %s AND expires > %s",
                (tunnel, _second(now)),
            ).fetchone()
        return None if row is None else Tunnel(tunnel, *row)

    def append(self, tunnel: TunnelId, slot: str, data: bytes, *, by: str, now: datetime) -> Receipt:
        at, control = _second(now), slot.startswith("control-")

        def work(db: Rows) -> Receipt:
            # The lock puts those who write to one tunnel in a row: numbers rise, and one answer wins.
            row = db.execute(
                "SELECT closed FROM tunnels WHERE tid = %s AND expires > %s FOR UPDATE", (tunnel, at)
            ).fetchone()
            if row is None:
                return Receipt(Outcome.GONE)
            held = db.execute(
                "SELECT data, writer, at FROM messages WHERE tid = %s AND slot = %s", (tunnel, slot)
            ).fetchall()
            if any(old == data for old, _, _ in held):
                return Receipt(Outcome.SAME)
            if held and not control:
                _, writer, since = held[0]
                return Receipt(Outcome.TAKEN, writer, since)
            if row[0] is not None and not control:
                return Receipt(Outcome.CLOSED)
            self._room.take(db, len(data))
            # The newest row is never pruned, so the numbers rise without a counter of their own.
            db.execute(
                "INSERT INTO messages SELECT %s, max(number) + 1, %s, %s, %s, %s FROM messages WHERE tid = %s",
                (tunnel, slot, data, by, at, tunnel),
            )
            if control:
                db.execute(
                    "DELETE FROM messages WHERE tid = %s AND slot = %s AND number NOT IN"
                    " (SELECT number FROM messages WHERE tid = %s AND slot = %s ORDER BY number DESC LIMIT %s)",
                    (tunnel, slot, tunnel, slot, CONTROL_KEPT),
                )
            _tell(db, tunnel)
            return Receipt(Outcome.STORED)

        return self._write(work)

    def messages(self, tunnel: TunnelId, after: int) -> Sequence[Message]:
        with self._read() as db:
            rows = db.execute(
                "SELECT number, slot, data FROM messages WHERE tid = %s AND number > %s ORDER BY number",
                (tunnel, after),
                binary=True,  # as text, bytes would be twice as long
            ).fetchall()
        return [Message(*row) for row in rows]

    def close_tunnel(self, tunnel: TunnelId, now: datetime) -> None:
        def work(db: Rows) -> None:
            db.execute("UPDATE tunnels SET closed = %s WHERE tid = %s AND closed IS NULL", (_second(now), tunnel))
            _tell(db, tunnel)

        self._write(work)

    def open_tunnels(self, now: datetime) -> Sequence[Summary]:
        with self._read() as db:
            rows = db.execute(
                "SELECT tid, array_agg(DISTINCT slot), created, expires, max(writer) FILTER (WHERE slot = 'answer')"
                " FROM tunnels JOIN messages USING (tid) WHERE closed IS NULL AND expires > %s"
                ' GROUP BY tid ORDER BY created, tid COLLATE "C"',
                (_second(now),),
            ).fetchall()
        return [Summary(TunnelId(tid), tuple(sorted(slots)), *rest) for tid, slots, *rest in rows]

    def purge(self, now: datetime, *, history: timedelta) -> int:
        self._room.recount()
        try:
            return self._purge(now, history)
        except StoreFull:
            # Room first: a store that is full of what has expired must not stay full for want of room for its history.
            return self._purge(now, timedelta(0))

    def _purge(self, now: datetime, history: timedelta) -> int:
        def work(db: Rows) -> int:
            db.execute("DELETE FROM history WHERE ended <= %s", (_second(now - history),))
            gone = db.execute(PURGE, {"now": _second(now), "keep": bool(history)}).fetchone()
            return 0 if gone is None else int(gone[0])

        return self._write(work)

    def history(self) -> Sequence[Ended]:
        with self._read() as db:
            rows = db.execute(
                'SELECT tid, slots, created, ended, answered_by FROM history ORDER BY created, tid COLLATE "C"'
            ).fetchall()
        return [Ended(TunnelId(tid), tuple(sorted(slots)), *rest) for tid, slots, *rest in rows]

    def count(self, now: datetime) -> Counts:
        with self._read() as db:
            row = db.execute(
                "SELECT count(*), count(closed) FROM tunnels WHERE expires > %s", (_second(now),)
            ).fetchone()
        alive, closed = row or (0, 0)
        return Counts(alive - closed, closed)

    # --- tokens

    def add_token(self, name: str, sha256: bytes, rights: frozenset[str], now: datetime) -> bool:
        row = (sha256, name, sorted(rights), _second(now))
        return self._changes_one("INSERT INTO tokens VALUES (%s, %s, %s, %s, NULL, NULL) ON CONFLICT DO NOTHING", row)

    def revoke_token(self, name: str, now: datetime) -> bool:
        return self._changes_one(
            "UPDATE tokens SET revoked = %s WHERE name = %s AND revoked IS NULL", (_second(now), name)
        )

    def tokens(self) -> Sequence[AdminToken]:
        with self._read() as db:
            rows = db.execute(
                'SELECT name, rights, created, last_used, revoked FROM tokens ORDER BY created, name COLLATE "C"'
            ).fetchall()
        return [_token(row) for row in rows]

    def live_token(self, sha256: bytes) -> AdminToken | None:
        with self._read() as db:
            row = db.execute(
                "SELECT name, rights, created, last_used, revoked FROM tokens WHERE sha256 = %s AND revoked IS NULL",
                (sha256,),
            ).fetchone()
        return None if row is None else _token(row)

    def note_use(self, name: str, now: datetime) -> None:
        self._changes_one("UPDATE tokens SET last_used = %s WHERE name = %s AND revoked IS NULL", (_second(now), name))

    def _changes_one(self, statement: LiteralString, values: Sequence[object]) -> bool:
        return self._write(lambda db: db.execute(statement, values).rowcount == 1)

    # --- the store itself

    async def changes(self) -> AsyncGenerator[TunnelId | None, None]:
        """By LISTEN, on a connection of its own that is made again whenever it ends."""
        lost = False
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**self._database.options) as db:
                    await db.execute(f"LISTEN {CHANNEL}")
                    if lost:
                        LOG.warning("the database is there again")
                        lost = False
                    yield None
                    async for told in db.notifies():
                        yield TunnelId(told.payload)
            except psycopg.Error as error:
                if not lost:  # once, however long it takes
                    LOG.warning("the database is lost, and with it word of other processes: %s", error)
                lost = True
            await asyncio.sleep(LISTEN_AGAIN)

    def check(self) -> None:
        with self._read() as db:
            db.execute("SELECT 1 FROM tunnels LIMIT 1").fetchone()

    def disconnect(self) -> None:
        self._pool.close()

    def __enter__(self) -> PostgresStore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.disconnect()


def _tell(db: Rows, tunnel: TunnelId) -> None:
    """Sent by the database when, and only when, the transaction is committed."""
    db.execute("SELECT pg_notify(%s, %s)", (CHANNEL, tunnel))


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)  # rounded down: a tunnel ends a moment early, never late


def _token(row: tuple[str, list[str], datetime, datetime | None, datetime | None]) -> AdminToken:
    name, rights, created, last_used, revoked = row
    return AdminToken(name, frozenset(rights), created, last_used, revoked)
