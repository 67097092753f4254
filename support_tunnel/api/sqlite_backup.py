"""Backup and restore of the store's file, also while the service runs: tokens and the metadata of ended tunnels.

A backup holds no message, not even a sealed one: what is deleted when its time is over must not live on in a drawer.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support_tunnel.api.sqlite_schema import SCHEMA_VERSION, version_of
from support_tunnel.core.errors import HostError, UsageError

__all__ = ["backup_store", "open_backup", "restore_store", "write_backup"]


def backup_store(store: Path, file: Path) -> None:
    """Write a backup, 0600, whole or not at all. Raises UsageError `backup.exists`, `.store`, HostError `backup.failed`."""
    if not store.is_file():
        raise UsageError("backup.store", f"there is no mailbox store at {store}", next_step="Name its folder: --state.")
    with _translated(store, "backup.store"), closing(_open_to_read(store)) as source:
        _copy(source, file)


def restore_store(file: Path, store: Path) -> None:
    """Make a store from a backup where there is none. Raises UsageError `backup.live`, `.file`, HostError `.failed`."""
    if any(path.exists() for path in (store, *_beside(store))):
        raise UsageError(
            "backup.live",
            f"there is a store at {store}; a backup never replaces one",
            next_step="Stop the API, move that file and its -wal and -shm away, and try again.",
        )
    with open_backup(file) as source:
        store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(source, store)


@contextmanager
def open_backup(file: Path) -> Iterator[sqlite3.Connection]:
    """Open what a backup wrote, to be read, when it is whole and of a version we know. Raises UsageError `backup.file`."""
    if not file.is_file():
        raise UsageError("backup.file", f"there is no backup at {file}")
    with _translated(file, "backup.file"), closing(_open_to_read(file)) as source:
        if source.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
            raise UsageError("backup.file", f"{file} is damaged", next_step="Take another backup.")
        if not 0 < version_of(source) <= SCHEMA_VERSION:
            raise UsageError("backup.file", f"{file} is not a backup that this version of support-tunnel knows")
        yield source


def _open_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _beside(store: Path) -> tuple[Path, ...]:
    return tuple(store.with_name(store.name + end) for end in ("-wal", "-shm"))


def _copy(source: sqlite3.Connection, target: Path) -> None:
    # By way of memory, so that no message reaches the target's disk on its way out.
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        source.backup(copy)
        copy.execute("DELETE FROM messages")
        copy.execute("DELETE FROM tunnels")
        write_backup(copy, target)


def write_backup(copy: sqlite3.Connection, target: Path) -> None:
    """Write a database in memory to a new file, 0600. Raises UsageError `backup.exists`, HostError `backup.failed`."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        # VACUUM writes into an empty file that is there, and so keeps its mode.
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            copy.execute("VACUUM INTO ?", (str(partial),))
            _sync(partial)
            target.hardlink_to(partial)  # unlike a rename, it never replaces
        finally:
            partial.unlink()
        _sync(target.parent)
    except FileExistsError:
        raise UsageError(
            "backup.exists", f"{target} exists; nothing is overwritten", next_step="Give another name."
        ) from None
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise HostError("backup.failed", f"{target} cannot be written: {reason}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path, code: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise UsageError(code, f"{path} is not a mailbox store, or it cannot be read") from error
