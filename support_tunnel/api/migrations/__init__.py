"""The tables of the PostgreSQL store, revision by revision, as alembic runs them (docs/decisions/0019-postgres.md)."""
