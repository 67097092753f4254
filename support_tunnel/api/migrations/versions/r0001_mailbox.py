"""The tables as SQLite's second schema has them. Times are whole seconds, because the service rounds them down."""

from __future__ import annotations

from alembic import op

from support_tunnel.api.postgres_schema import only_forward

__all__ = ["downgrade", "revision", "upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE tunnels (
            tid text PRIMARY KEY, device_sha256 bytea NOT NULL, claim_sha256 bytea NOT NULL,
            ttl integer NOT NULL, created timestamptz NOT NULL, expires timestamptz NOT NULL, closed timestamptz
        )"""
    )
    op.execute("CREATE INDEX tunnels_by_expiry ON tunnels (expires)")
    op.execute(
        """
        CREATE TABLE messages (
            tid text NOT NULL REFERENCES tunnels (tid) ON DELETE CASCADE,
            number bigint NOT NULL, slot text NOT NULL, data bytea NOT NULL, writer text NOT NULL, at timestamptz NOT NULL,
            PRIMARY KEY (tid, number)
        )"""
    )
    op.execute("ALTER TABLE messages ALTER COLUMN data SET STORAGE EXTERNAL")  # sealed bytes cannot be compressed
    op.execute(
        "CREATE UNIQUE INDEX messages_one_each ON messages (tid, slot)"
        " WHERE slot IN ('offer', 'answer', 'confirm', 'ready')"
    )
    op.execute(
        """
        CREATE TABLE tokens (
            sha256 bytea PRIMARY KEY, name text NOT NULL, rights text[] NOT NULL,
            created timestamptz NOT NULL, last_used timestamptz, revoked timestamptz
        )"""
    )
    op.execute("CREATE UNIQUE INDEX tokens_one_live_name ON tokens (name) WHERE revoked IS NULL")
    op.execute(
        """
        CREATE TABLE history (
            tid text NOT NULL, created timestamptz NOT NULL, ended timestamptz NOT NULL,
            slots text[] NOT NULL, answered_by text,
            PRIMARY KEY (tid, created)
        )"""
    )
    op.execute("CREATE INDEX history_by_end ON history (ended)")


def downgrade() -> None:
    only_forward()
