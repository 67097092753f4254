"""One suite over every store: what a row is, who wins a race, what is forgotten when, how full is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.store import CONTROL_KEPT, AdminToken, Counts, Outcome, Receipt, Store, StoreFull, Summary
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.api.conftest import Reopen
from tests.api.rows import row

CLAIM = Secret(bytes(32))
WEEK = timedelta(days=7)


@pytest.fixture
def store(reopen: Reopen) -> Store:
    return reopen()


def face(api: RunningApi, token: Secret[str] | None = None) -> HttpMailbox:
    return HttpMailbox(api.url, clock=SystemClock(), fingerprint=api.fingerprint, device_token=token, patience=0)


def test_a_tunnel_is_what_its_device_registered(store: Store, clock: ManualClock) -> None:
    tunnel = row(ttl=600)
    assert store.tunnel(tunnel.tunnel, clock.now()) is None
    assert store.put(tunnel, clock.now()) is Outcome.STORED
    found = store.tunnel(tunnel.tunnel, clock.now())
    assert found is not None
    assert (found.device_sha256, found.claim_sha256) == (b"d" * 32, b"c" * 32)
    assert (found.created, found.expires, found.closed) == (clock.now(), clock.now() + timedelta(seconds=600), None)
    clock.advance(599)
    assert store.tunnel(tunnel.tunnel, clock.now()) == found
    clock.advance(1)
    assert store.tunnel(tunnel.tunnel, clock.now()) is None


def test_a_time_is_rounded_down(store: Store, clock: ManualClock) -> None:
    tunnel, whole = row(ttl=10), clock.now()
    clock.advance(0.9)
    store.put(tunnel, clock.now())
    found = store.tunnel(tunnel.tunnel, clock.now())
    assert found is not None
    assert (found.created, found.expires) == (whole, whole + timedelta(seconds=10))


def test_the_same_again_is_the_same_and_all_else_is_taken(store: Store, clock: ManualClock) -> None:
    first = row()
    store.put(first, clock.now())
    assert store.put(first, clock.now()) is Outcome.SAME
    changes: list[dict[str, Any]] = [{"offer": b"other"}, {"ttl": 601}, {"device_sha256": bytes(32)}]
    for change in (*changes, {"claim_sha256": bytes(32)}):
        assert store.put(replace(first, **change), clock.now()) is Outcome.TAKEN
    assert [message.data for message in store.messages(first.tunnel, 0)] == [b"offer"]
    clock.advance(600)
    assert store.put(row(b"other", tunnel=first.tunnel), clock.now()) is Outcome.STORED
    assert [message.data for message in store.messages(first.tunnel, 0)] == [b"other"]


def test_any_bytes_come_back(store: Store, clock: ManualClock) -> None:
    tunnel, every = row(), bytes(range(256)) * 64
    store.put(tunnel, clock.now())
    store.append(tunnel.tunnel, "confirm", every, by="", now=clock.now())
    store.append(tunnel.tunnel, "control-device", b"", by="", now=clock.now())
    assert [(m.number, m.slot, m.data) for m in store.messages(tunnel.tunnel, 1)] == [
        (2, "confirm", every),
        (3, "control-device", b""),
    ]
    assert list(store.messages(tunnel.tunnel, 3)) == []


def test_a_slot_holds_one_message_and_says_whose(store: Store, clock: ManualClock) -> None:
    tunnel, since = row(), clock.now()
    store.put(tunnel, since)

    def post(data: bytes, by: str) -> Receipt:
        return store.append(tunnel.tunnel, "answer", data, by=by, now=clock.now())

    assert post(b"m2", "Ann") == Receipt(Outcome.STORED)
    clock.advance(5)
    assert post(b"m2", "Ann") == Receipt(Outcome.SAME)
    assert post(b"of another", "Bob") == Receipt(Outcome.TAKEN, "Ann", since)


def test_of_a_control_direction_the_latest_stay_and_numbers_rise(store: Store, clock: ManualClock) -> None:
    tunnel = row()
    store.put(tunnel, clock.now())
    for number in range(2 * CONTROL_KEPT):
        store.append(tunnel.tunnel, "control-admin", number.to_bytes(2), by="Ann", now=clock.now())
    store.append(tunnel.tunnel, "control-device", b"pong", by="", now=clock.now())
    assert [message.number for message in store.messages(tunnel.tunnel, 0)] == [
        1,
        *range(CONTROL_KEPT + 2, 2 * CONTROL_KEPT + 2),
        2 * CONTROL_KEPT + 2,
    ]


def test_a_closed_tunnel_takes_control_messages_only(store: Store, clock: ManualClock) -> None:
    tunnel = row()
    store.put(tunnel, clock.now())
    closed = clock.now()
    for _ in range(2):
        store.close_tunnel(tunnel.tunnel, clock.now())
        clock.advance(1)
    found = store.tunnel(tunnel.tunnel, clock.now())
    assert found is not None
    assert found.closed == closed
    assert store.append(tunnel.tunnel, "confirm", b"m3", by="", now=clock.now()) == Receipt(Outcome.CLOSED)
    assert store.append(tunnel.tunnel, "control-device", b"x", by="", now=clock.now()) == Receipt(Outcome.STORED)
    assert store.count(clock.now()) == Counts(open=0, closed=1)
    assert list(store.open_tunnels(clock.now())) == []


def test_open_tunnels_are_listed_oldest_first(store: Store, clock: ManualClock) -> None:
    began, rows = clock.now(), [row(ttl=600), row(ttl=700)]
    for tunnel in rows:
        store.put(tunnel, clock.now())
        clock.advance(1)
    store.append(rows[1].tunnel, "answer", b"m2", by="Ann", now=clock.now())
    assert list(store.open_tunnels(clock.now())) == [
        Summary(rows[0].tunnel, ("offer",), began, began + timedelta(seconds=600), None),
        Summary(
            rows[1].tunnel,
            ("answer", "offer"),
            began + timedelta(seconds=1),
            began + timedelta(seconds=701),
            "Ann",
        ),
    ]
    assert store.count(clock.now()) == Counts(open=2, closed=0)


def test_of_an_ended_tunnel_metadata_stays_for_a_while(store: Store, clock: ManualClock) -> None:
    began, closed, ignored = clock.now(), row(b"sealed", ttl=600), row(ttl=900)
    store.put(closed, began)
    store.put(ignored, began)
    store.append(closed.tunnel, "answer", b"m2", by="Ann", now=began)
    clock.advance(60)
    store.close_tunnel(closed.tunnel, clock.now())
    clock.advance(840)
    assert store.purge(clock.now(), history=WEEK) == 2
    assert {(it.tunnel, it.slots, it.created, it.ended, it.answered_by) for it in store.history()} == {
        (closed.tunnel, ("answer", "offer"), began, began + timedelta(seconds=60), "Ann"),
        (ignored.tunnel, ("offer",), began, began + timedelta(seconds=900), None),
    }
    assert list(store.messages(closed.tunnel, 0)) == []
    clock.advance(WEEK.total_seconds() - 1)
    store.purge(clock.now(), history=WEEK)
    assert [it.tunnel for it in store.history()] == [ignored.tunnel]
    store.purge(clock.now(), history=timedelta(0))
    assert list(store.history()) == []


def test_tokens_are_found_by_their_hash_until_they_are_revoked(store: Store, clock: ManualClock) -> None:
    made, rights = clock.now(), frozenset({"answer", "list"})
    assert store.add_token("Ann", b"1" * 32, rights, made)
    assert not store.add_token("Ann", b"2" * 32, rights, made)
    assert store.add_token("Bob", b"3" * 32, frozenset({"metrics"}), made)
    clock.advance(60)
    store.note_use("Ann", clock.now())
    assert store.live_token(b"1" * 32) == AdminToken("Ann", rights, made, clock.now(), None)
    assert store.live_token(b"2" * 32) is None
    assert store.revoke_token("Ann", clock.now())
    assert not store.revoke_token("Ann", clock.now())
    assert store.live_token(b"1" * 32) is None
    assert store.add_token("Ann", b"2" * 32, rights, clock.now())
    assert [(token.name, token.revoked is None) for token in store.tokens()] == [
        ("Ann", False),
        ("Bob", True),
        ("Ann", True),
    ]


def test_what_was_acknowledged_is_there_after_opening_again(reopen: Reopen, clock: ManualClock) -> None:
    tunnel, first = row(), reopen()
    first.put(tunnel, clock.now())
    first.append(tunnel.tunnel, "answer", b"m2", by="Ann", now=clock.now())
    first.disconnect()
    assert [(m.number, m.slot, m.data) for m in reopen().messages(tunnel.tunnel, 0)] == [
        (1, "offer", b"offer"),
        (2, "answer", b"m2"),
    ]


def test_a_full_store_refuses_politely_still_reads_and_recovers(
    run_api: Callable[..., RunningApi], chosen: dict[str, Any], clock: ManualClock
) -> None:
    api = run_api(store_bytes=160 * 1024, **chosen)
    tokens: list[tuple[TunnelId, Secret[str]]] = []

    def fill() -> None:
        for _ in range(100):
            with face(api) as device:
                tunnel = row().tunnel
                device.open(tunnel, bytes(16 * 1024), claim=CLAIM, ttl=600)
                tokens.append((tunnel, device.device_token))

    with pytest.raises(HostError, match="status 507"):
        fill()
    tunnel_id, token = tokens[0]
    with face(api, token) as device:
        assert len(device.messages(tunnel_id, after=0, wait=0)) == 1
    with pytest.raises(StoreFull):
        api.store.put(row(bytes(16 * 1024)), clock.now())
    clock.advance(601)
    api.store.purge(clock.now(), history=WEEK)
    with face(api) as device:
        device.open(row().tunnel, b"offer", claim=CLAIM, ttl=600)


def test_a_message_for_a_tunnel_that_went_meanwhile_is_not_stored(store: Store, clock: ManualClock) -> None:
    assert store.append(row().tunnel, "confirm", b"m3", by="", now=clock.now()).outcome is Outcome.GONE


def test_the_clock_of_the_api_moves_nothing_but_its_own_rows(reopen: Reopen) -> None:
    """A day forward forgets early, a day back forgets late; neither changes the time a tunnel was given."""
    tunnel, first = row(), reopen()
    first.put(tunnel, ManualClock().now())
    given = first.tunnel(tunnel.tunnel, ManualClock().now())
    first.disconnect()
    second, yesterday = reopen(), ManualClock()
    assert given is not None
    assert second.tunnel(tunnel.tunnel, yesterday.now().replace(year=2029)) == given
    yesterday.advance(86_400)
    assert second.tunnel(tunnel.tunnel, yesterday.now()) is None
