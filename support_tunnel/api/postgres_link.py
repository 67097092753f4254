"""How the store reaches PostgreSQL: what a connection string may say, connections kept ready, the database's "no" in our words.

The connection string may hold a password: no error repeats the string, and no password is in a log or a URL, though host and user may be. It must not know tables.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from support_tunnel.api.store import StoreFull, StoreUnavailable
from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret

__all__ = ["MOST", "Database", "pool_of", "translated"]

MOST: Final = 8
"""Connections of one process beside the one that listens; a request holds one for about a millisecond."""
MOST_WAITING: Final = 200
DEFAULTS: Final = {
    "application_name": "support-tunnel-api",
    "connect_timeout": "3",
    # A server that is gone without a goodbye is noticed within about 20 s, also by the connection that only listens.
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}


class Database:
    """A connection string that was read, with our defaults under it."""

    def __init__(self, text: Secret[str]) -> None:
        try:
            given = conninfo_to_dict(text.reveal().strip())
        except psycopg.Error:
            raise UsageError(  # without the cause: it would repeat the text
                "database.string",
                "the connection string of the database is not one that PostgreSQL understands",
                next_step="Write it as host=/run/postgresql dbname=NAME user=NAME, or as postgresql://NAME@HOST/NAME.",
            ) from None
        self._options: dict[str, Any] = DEFAULTS | given

    def __repr__(self) -> str:
        return "Database(***)"

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `connect`."""
        return {**self._options, "autocommit": True}


def pool_of(database: Database, *, patience: float) -> ConnectionPool[psycopg.Connection[Any]]:
    """Make a pool; it connects when it is first asked. `patience` bounds every statement and every wait, in seconds."""

    session = _session(patience)

    def configure(connection: psycopg.Connection[Any]) -> None:
        connection.execute(
            "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS setting (name, value)",
            [list(session), list(session.values())],
        )

    def check(connection: psycopg.Connection[Any]) -> None:
        # An idle server says nothing, unless it says goodbye. To look costs microseconds; to ask, a round trip a request.
        watched = select.poll()
        watched.register(connection.fileno(), select.POLLIN)
        if watched.poll(0):
            try:
                connection.execute("")
            except psycopg.Error:
                pool.drain()  # a server that went took all of them
                raise

    # It would write some lines for every request while the database is down; who listens says it once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    pool = ConnectionPool(
        kwargs=database.options,
        min_size=0,
        max_size=MOST,
        max_waiting=MOST_WAITING,
        timeout=patience,
        reconnect_timeout=1.0,  # then it is the next request that tries again
        configure=configure,
        check=check,
        name="mailbox",
        open=True,
    )
    return pool


def _session(patience: float) -> dict[str, str]:
    milliseconds = str(max(1, round(1000 * patience)))
    return {
        "timezone": "UTC",
        "default_transaction_isolation": "read committed",  # races are decided by row locks and unique indexes
        "synchronous_commit": "on",  # what is acknowledged is on disk
        "lock_timeout": milliseconds,
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": "30000",
    }


@contextmanager
def translated() -> Iterator[None]:
    """Raise StoreFull or StoreUnavailable for whatever PostgreSQL raises."""
    try:
        yield
    except psycopg.errors.DiskFull as error:
        raise StoreFull from error
    except (psycopg.Error, PoolTimeout, PoolClosed, TooManyRequests) as error:
        raise StoreUnavailable from error
