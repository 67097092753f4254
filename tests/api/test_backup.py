"""Backup while the service runs, restore where there is nothing: tokens and history come back, no message ever does."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.sqlite_backup import backup_store, restore_store
from support_tunnel.api.sqlite_store import SqliteStore
from support_tunnel.api.store import Put
from support_tunnel.api.tokens import create_token
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock

WEEK = timedelta(days=7)


def row(offer: bytes, ttl: int) -> Put:
    return Put(TunnelId(secrets.token_hex(16)), offer, bytes(32), bytes(32), ttl)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(SupportTunnelError) as refused:
        call()
    return refused.value.code


def listing(api: RunningApi, token: Secret[str]) -> int:
    with HttpMailbox(api.url, clock=SystemClock(), fingerprint=api.fingerprint, admin_token=token, patience=0) as face:
        return len(face.tunnels())


def test_tokens_and_history_come_back_and_messages_do_not(
    run_api: Callable[..., RunningApi], tmp_path: Path, clock: ManualClock
) -> None:
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "backup.sqlite"
    api = run_api(state_dir=old)
    token = create_token(api.store, name="Ann", clock=clock)
    ended, alive = row(b"m1 of an ended one", 10), row(b"m1 that waits", 600)
    for tunnel in (ended, alive):
        api.store.put(tunnel, clock.now())
    clock.advance(10)
    api.store.purge(clock.now(), history=WEEK)

    backup_store(old / "mailbox.sqlite", file)
    assert listing(api, token) == 1  # it went on meanwhile
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert not [one for one in (b"m1 of", b"m1 that", alive.tunnel.encode()) if one in file.read_bytes()]

    restore_store(file, new / "mailbox.sqlite")
    restored = run_api(state_dir=new)
    assert listing(restored, token) == 0
    assert [one.tunnel for one in restored.store.history()] == [ended.tunnel]
    files = {path.name for path in new.iterdir()}
    assert files == {"mailbox.sqlite", "mailbox.sqlite-shm", "mailbox.sqlite-wal", "tls.pem"}
    assert {oct(path.stat().st_mode & 0o777) for path in new.iterdir()} == {"0o600"}


def test_a_store_that_nobody_serves_is_backed_up_too(tmp_path: Path, clock: ManualClock) -> None:
    store, file = tmp_path / "mailbox.sqlite", tmp_path / "backup.sqlite"
    with SqliteStore(store) as opened:
        create_token(opened, name="Ann", clock=clock)
    backup_store(store, file)
    restore_store(file, tmp_path / "new" / "mailbox.sqlite")
    with SqliteStore(tmp_path / "new" / "mailbox.sqlite") as restored:
        assert [token.name for token in restored.tokens()] == ["Ann"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    store, file = tmp_path / "api" / "mailbox.sqlite", tmp_path / "backup.sqlite"
    assert code_of(lambda: backup_store(store, file)) == "backup.store"
    SqliteStore(store).disconnect()
    backup_store(store, file)
    assert code_of(lambda: backup_store(store, file)) == "backup.exists"
    assert code_of(lambda: restore_store(file, store)) == "backup.live"
    store.rename(tmp_path / "moved")
    store.with_name("mailbox.sqlite-wal").touch()  # of the store that was moved without it
    assert code_of(lambda: restore_store(file, store)) == "backup.live"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api", "backup.sqlite", "moved"]


@pytest.mark.parametrize("what", ["missing", "text", "newer", "cut"])
def test_what_is_no_backup_is_refused_and_makes_no_store(what: str, tmp_path: Path, clock: ManualClock) -> None:
    store, file, new = tmp_path / "mailbox.sqlite", tmp_path / "backup.sqlite", tmp_path / "new" / "mailbox.sqlite"
    with SqliteStore(store) as opened:
        for number in range(200):
            create_token(opened, name=f"token {number}", clock=clock)
    backup_store(store, file)
    match what:
        case "missing":
            file.unlink()
        case "text":
            file.write_bytes(b"something else " * 1000)
        case "newer":
            db = sqlite3.connect(file)
            db.execute("PRAGMA user_version = 99")
            db.close()
        case "cut":
            file.write_bytes(file.read_bytes()[:8192])
    assert code_of(lambda: restore_store(file, new)) == "backup.file"
    assert not new.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    store = tmp_path / "mailbox.sqlite"
    SqliteStore(store).disconnect()
    assert code_of(lambda: backup_store(store, tmp_path / "no such folder" / "backup.sqlite")) == "backup.failed"
