"""Brings the tables of a PostgreSQL database to this program's revision: one process at a time, all or nothing.

Alembic and SQLAlchemy are imported only when there is something to do. A database of a newer program is refused and left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from support_tunnel.core.errors import UsageError

if TYPE_CHECKING:
    from alembic.config import Config
    from psycopg import Connection

__all__ = ["HEAD", "REVISIONS", "alembic_config", "migrate", "only_forward", "revision_of"]

REVISIONS: Final = ("0001",)
"""Those that this program knows, oldest first: the files under migrations/versions."""
HEAD: Final = REVISIONS[-1]
VERSION_TABLE: Final = "support_tunnel_schema"
ONE_AT_A_TIME: Final = 0x5354_4150_4900_0001
"""Key of the advisory lock: no other program in this database has a reason to take it."""


def revision_of(db: Connection[Any]) -> str:
    """Read the revision of the tables; empty when there are none."""
    found = db.execute("SELECT to_regclass(%s)", [VERSION_TABLE]).fetchone()
    if found is None or found[0] is None:
        return ""
    row = db.execute("SELECT version_num FROM support_tunnel_schema").fetchone()
    return "" if row is None else str(row[0])


def migrate(db: Connection[Any]) -> None:
    """Bring the database of a connection in autocommit up to date.

    Raises UsageError `api.schema` when it is newer, `api.store` when its tables are not ours or we may not make any.
    """
    revision = revision_of(db)
    if revision == HEAD:
        return
    if revision and revision not in REVISIONS:
        raise UsageError(
            "api.schema",
            f"the store has schema {revision}, this program knows {HEAD}",
            next_step="Run the version of support-tunnel that made the store, or give it an empty database.",
        )
    _upgrade(db)


def only_forward() -> NoReturn:
    """What every revision's `downgrade` is. Raises UsageError `api.downgrade`."""
    raise UsageError(
        "api.downgrade",
        "the store's schema does not go back",
        next_step="Give the older program an empty database and restore the backup of before into it.",
    )


def alembic_config(**attributes: object) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes.update(attributes, version_table=VERSION_TABLE)
    return config


def _upgrade(db: Connection[Any]) -> None:
    import sqlalchemy
    from alembic import command
    from sqlalchemy.exc import DBAPIError, ProgrammingError

    # Another process may hold the lock for as long as its own upgrade takes; the session's own limit is a request's.
    db.execute("SET statement_timeout = '10min'")
    db.execute("SET lock_timeout = '10min'")
    db.autocommit = False
    # The connection is handed over, so that no address and no password goes through a URL.
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: db, poolclass=sqlalchemy.pool.StaticPool)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
            command.upgrade(alembic_config(connection=connection), "head")
    except ProgrammingError as error:
        raise UsageError(
            "api.store",
            f"the database cannot hold a mailbox store: {str(error.orig).splitlines()[0]}",
            next_step="Give the API a database of its own, empty, that its user owns.",
        ) from error
    except DBAPIError as error:  # a server that goes, a standby that only reads: the store's callers know these by PostgreSQL's own names
        raise (error.orig or error) from error
