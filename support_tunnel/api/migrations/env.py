"""What alembic executes for every command: it works on the connection, and in the transaction, that `postgres_schema` hands over.

Without one, as for alembic's own program, there is nothing to work on: it must not find a database by itself.
"""

from __future__ import annotations

from alembic import context

__all__ = ["run"]


def run() -> None:
    attributes = context.config.attributes
    context.configure(connection=attributes["connection"], version_table=attributes["version_table"])
    with context.begin_transaction():
        context.run_migrations()


run()
