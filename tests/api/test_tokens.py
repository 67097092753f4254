"""Admin tokens on the API's host: made once, stored as a hash, revoked in one row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.api.sqlite_store import SqliteStore
from support_tunnel.api.tokens import create_token, list_tokens, revoke_token
from support_tunnel.core.errors import UsageError
from support_tunnel.testing.clock import ManualClock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "mailbox.sqlite") as opened:
        yield opened


def test_the_store_never_holds_the_token(tmp_path: Path, store: SqliteStore, clock: ManualClock) -> None:
    token = create_token(store, name="Ann", clock=clock).reveal()
    store.disconnect()
    assert len(token) == 43
    assert token.encode() not in (tmp_path / "mailbox.sqlite").read_bytes()


def test_a_name_is_free_again_after_revoking(store: SqliteStore, clock: ManualClock) -> None:
    first = create_token(store, name="Ann", rights=["list"], clock=clock)
    with pytest.raises(UsageError, match="live token named Ann"):
        create_token(store, name="Ann", clock=clock)
    clock.advance(60)
    revoke_token(store, name="Ann", clock=clock)
    second = create_token(store, name="Ann", clock=clock)
    assert first != second
    assert [(set(token.rights), token.revoked is None) for token in list_tokens(store)] == [
        ({"list"}, False),
        ({"answer", "list"}, True),
    ]


def test_what_cannot_be_revoked_is_said(store: SqliteStore, clock: ManualClock) -> None:
    with pytest.raises(UsageError) as refused:
        revoke_token(store, name="Ann", clock=clock)
    assert refused.value.code == "token.unknown"


@pytest.mark.parametrize("name", ["", " x", "x" * 65, "a\nb", "\x1b[31m", "Zoë", "a,b"])
def test_a_name_has_nothing_a_terminal_obeys(name: str, store: SqliteStore, clock: ManualClock) -> None:
    with pytest.raises(UsageError) as refused:
        create_token(store, name=name, clock=clock)
    assert refused.value.code == "token.name"


@pytest.mark.parametrize("rights", [[], ["root"], ["answer", "list", "stop"]])
def test_there_are_two_rights(rights: list[str], store: SqliteStore, clock: ManualClock) -> None:
    with pytest.raises(UsageError) as refused:
        create_token(store, name="Ann", rights=rights, clock=clock)
    assert refused.value.code == "token.rights"
