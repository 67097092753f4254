"""The tables of a PostgreSQL database: made once however many start, never taken back, never touched when they are newer or another's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from support_tunnel.api import postgres_schema, postgres_store
from support_tunnel.api.postgres_schema import HEAD, REVISIONS, alembic_config, revision_of
from support_tunnel.api.postgres_store import PostgresStore
from support_tunnel.api.store import StoreUnavailable
from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.api.postgres import Postgres
from tests.api.rows import row

TABLES = {"tunnels", "messages", "tokens", "history", "support_tunnel_schema"}


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """The name of a database in which there is nothing yet."""
    with postgres.database("template0") as name:
        yield name


def tables(postgres: Postgres, database: str) -> set[str]:
    with closing(postgres.connect(database)) as db:
        return {name for (name,) in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def test_the_revisions_are_the_files() -> None:
    walked = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    assert tuple(one.revision for one in walked)[::-1] == REVISIONS


def test_many_that_start_at_once_make_the_tables_once(postgres: Postgres, empty: str) -> None:
    def start(_: int) -> str:
        with PostgresStore(postgres.dsn(empty)) as store:
            store.check()
        return "up"

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(start, range(6))) == ["up"] * 6
    assert tables(postgres, empty) == TABLES
    with closing(postgres.connect(empty)) as db:
        assert revision_of(db) == HEAD
        assert db.execute("SELECT count(*) FROM support_tunnel_schema").fetchone() == (1,)


def test_an_up_to_date_store_needs_no_alembic(
    database: Secret[str], monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    def upgraded(_: object) -> None:
        raise AssertionError("there was nothing to do")

    monkeypatch.setattr(postgres_schema, "_upgrade", upgraded)
    with PostgresStore(database) as store:
        store.put(row(), clock.now())


def test_a_newer_store_is_refused_and_left_alone(postgres: Postgres, clock: ManualClock) -> None:
    tunnel = row()
    with postgres.database() as name, closing(postgres.connect(name)) as db:
        with PostgresStore(postgres.dsn(name)) as store:
            store.put(tunnel, clock.now())
        db.execute("UPDATE support_tunnel_schema SET version_num = '0099'")
        with pytest.raises(UsageError, match=f"the store has schema 0099, this program knows {HEAD}") as refused:
            PostgresStore(postgres.dsn(name))
        assert refused.value.code == "api.schema"
        assert revision_of(db) == "0099"
        assert db.execute("SELECT tid FROM tunnels").fetchall() == [(tunnel.tunnel,)]


def test_it_does_not_go_back(postgres: Postgres, database: Secret[str]) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.reveal()))
    with engine.connect() as connection, pytest.raises(UsageError, match="does not go back") as refused:
        command.downgrade(alembic_config(connection=connection), "base")
    engine.dispose()
    assert refused.value.code == "api.downgrade"
    with PostgresStore(database) as store:
        store.check()


def test_a_database_of_another_program_is_named_and_nothing_is_left_in_it(postgres: Postgres, empty: str) -> None:
    with closing(postgres.connect(empty)) as db:
        db.execute("CREATE TABLE history (what text)")
    with pytest.raises(UsageError, match='"history" already exists') as refused:
        PostgresStore(postgres.dsn(empty))
    assert refused.value.code == "api.store"
    assert tables(postgres, empty) == {"history"}


def test_a_standby_that_only_reads_is_waited_for(
    postgres: Postgres, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_store, "REFUSED_FOR", 0.0)
    with closing(postgres.connect()) as db:
        db.execute(f"ALTER DATABASE {empty} SET default_transaction_read_only = on".encode())
        with PostgresStore(postgres.dsn(empty)) as store:
            with pytest.raises(StoreUnavailable) as refused:
                store.check()
            assert isinstance(refused.value.__cause__, psycopg.errors.ReadOnlySqlTransaction)
            assert tables(postgres, empty) == set()
            db.execute(f"ALTER DATABASE {empty} RESET default_transaction_read_only".encode())
            store.check()


def test_a_user_who_may_make_no_tables_is_told(postgres: Postgres, empty: str) -> None:
    with closing(postgres.connect(empty)) as db:
        db.execute("CREATE ROLE nobody_here LOGIN")
        try:
            with pytest.raises(UsageError, match="permission denied") as refused:
                PostgresStore(postgres.dsn(empty, user="nobody_here"))
        finally:
            db.execute("DROP ROLE nobody_here")
    assert refused.value.code == "api.store"
