"""Two processes on one store, and what happens when they do the same at once: one wins, in either database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from support_tunnel.api.store import Outcome, Receipt
from support_tunnel.testing.clock import ManualClock
from tests.api.conftest import Reopen
from tests.api.rows import new_id, row

WEEK = timedelta(days=7)
S = TypeVar("S")
T = TypeVar("T")


def at_once(call: Callable[[S], T], arguments: Iterable[S]) -> list[T]:
    with ThreadPoolExecutor(12) as threads:
        return list(threads.map(call, arguments))


def test_of_many_answers_one_wins(reopen: Reopen, clock: ManualClock) -> None:
    tunnel, stores = row(), [reopen(), reopen()]
    stores[0].put(tunnel, clock.now())
    now = clock.now()

    def answer(number: int) -> Receipt:
        return stores[number % 2].append(tunnel.tunnel, "answer", bytes([number]), by=f"admin {number}", now=now)

    receipts = at_once(answer, range(8))
    (winner,) = [number for number, receipt in enumerate(receipts) if receipt.outcome is Outcome.STORED]
    assert [receipt for number, receipt in enumerate(receipts) if number != winner] == [
        Receipt(Outcome.TAKEN, f"admin {winner}", now)
    ] * 7
    assert [message.data for message in stores[0].messages(tunnel.tunnel, 1)] == [bytes([winner])]


def test_those_who_write_at_once_get_a_number_each(reopen: Reopen, clock: ManualClock) -> None:
    tunnel, stores = row(), [reopen(), reopen()]
    stores[0].put(tunnel, clock.now())
    now = clock.now()

    def post(number: int) -> Receipt:
        return stores[number % 2].append(tunnel.tunnel, "control-device", bytes([number]), by="", now=now)

    receipts = at_once(post, range(12))
    assert receipts == [Receipt(Outcome.STORED)] * 12
    kept = stores[1].messages(tunnel.tunnel, 1)
    assert [message.number for message in kept] == [*range(2, 14)]
    assert {message.data for message in kept} == {bytes([number]) for number in range(12)}


def test_of_many_that_open_one_id_one_wins(reopen: Reopen, clock: ManualClock) -> None:
    stores, tunnel, now = [reopen(), reopen()], new_id(), clock.now()

    def put(number: int) -> Outcome:
        return stores[number % 2].put(row(bytes([number]), tunnel=tunnel), now)

    outcomes = at_once(put, range(8))
    assert sorted(outcome.value for outcome in outcomes) == ["stored"] + ["taken"] * 7
    winner = outcomes.index(Outcome.STORED)
    assert [message.data for message in stores[0].messages(tunnel, 0)] == [bytes([winner])]


def test_two_that_purge_at_once_keep_one_line_of_each(reopen: Reopen, clock: ManualClock) -> None:
    stores, ended = [reopen(), reopen()], [row(ttl=1) for _ in range(20)]
    for tunnel in ended:
        stores[0].put(tunnel, clock.now())
    clock.advance(1)
    now = clock.now()
    expired = at_once(lambda store: store.purge(now, history=WEEK), stores)
    assert sum(expired) == 20
    assert {one.tunnel for one in stores[0].history()} == {tunnel.tunnel for tunnel in ended}
