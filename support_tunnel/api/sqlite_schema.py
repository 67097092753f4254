"""The tables of the store, version by version, and the way from an older file to this program's.

A newer file is refused and left alone: half understood, it would lose what this program does not know.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from support_tunnel.core.errors import UsageError

__all__ = ["SCHEMAS", "SCHEMA_VERSION", "migrate", "version_of"]

SCHEMAS: Final = (
    """
CREATE TABLE tunnels (
    tid TEXT PRIMARY KEY, device_sha256 BLOB NOT NULL, claim_sha256 BLOB NOT NULL,
    ttl INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, closed INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX by_expiry ON tunnels (expires);
CREATE TABLE messages (
    tid TEXT NOT NULL REFERENCES tunnels (tid) ON DELETE CASCADE,
    number INTEGER NOT NULL, slot TEXT NOT NULL, data BLOB NOT NULL, writer TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (tid, number)
) STRICT;
CREATE UNIQUE INDEX one_each ON messages (tid, slot) WHERE slot IN ('offer', 'answer', 'confirm', 'ready');
CREATE TABLE tokens (
    sha256 BLOB PRIMARY KEY, name TEXT NOT NULL, rights TEXT NOT NULL,
    created INTEGER NOT NULL, last_used INTEGER, revoked INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_live_name ON tokens (name) WHERE revoked IS NULL
""",
    """
CREATE TABLE history (
    tid TEXT NOT NULL, created INTEGER NOT NULL, ended INTEGER NOT NULL, slots TEXT NOT NULL, answered_by TEXT,
    PRIMARY KEY (tid, created)
) STRICT, WITHOUT ROWID;
CREATE INDEX by_end ON history (ended)
""",
)
"""What each version of the schema adds to the one before; a released one is never edited."""
SCHEMA_VERSION: Final = len(SCHEMAS)


def version_of(db: sqlite3.Connection) -> int:
    """Read the version of an open file; 0 is a new one."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(db: sqlite3.Connection) -> None:
    """Bring an open file, inside a transaction, to this program's version. Raises UsageError `api.schema` if it is newer."""
    version = version_of(db)
    if not 0 <= version <= SCHEMA_VERSION:
        raise UsageError(
            "api.schema",
            f"the store has schema {version}, this program knows {SCHEMA_VERSION}",
            next_step="Run the version of support-tunnel that made the store, or move the file away.",
        )
    for schema in SCHEMAS[version:]:
        for statement in schema.split(";\n"):
            db.execute(statement)
    if version != SCHEMA_VERSION:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
