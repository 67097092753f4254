"""A database that takes connections and says nothing, as behind a firewall that drops: nobody waits for more than one attempt."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.api import postgres_store
from support_tunnel.api.postgres_store import PostgresStore
from support_tunnel.api.store import StoreUnavailable
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for
from tests.api import postgres as real

FOR_EVER = 600.0


class Silent:
    """It keeps what it accepts until it hangs up."""

    def __init__(self) -> None:
        self.attempts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self._taking = threading.Thread(target=self._take)
        self._taking.start()

    def dsn(self) -> Secret[str]:
        port = self._listener.getsockname()[1]
        words = f"hostaddr=127.0.0.1 port={port} dbname=x user=x sslmode=disable gssencmode=disable"
        return Secret(f"{words} connect_timeout={FOR_EVER:.0f}")

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._held.append(connection)
            self.attempts += 1

    def wait_for_attempts(self, number: int) -> None:
        wait_for(
            lambda: True if self.attempts >= number else None,
            what=f"attempt {number}",
            seconds=60,
            clock=SystemClock(),
        )

    def hang_up(self) -> None:
        while self._held:
            self._held.pop().close()

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Who still waits is refused now."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._taking.join()
        self.hang_up()


@contextmanager
def refused_at_the_start(patience: float) -> Iterator[tuple[Silent, ThreadPoolExecutor, PostgresStore]]:
    with ThreadPoolExecutor(40) as threads, Silent() as server:
        opening = threads.submit(PostgresStore, server.dsn(), patience=patience)
        server.wait_for_attempts(1)
        server.hang_up()
        with opening.result() as store:
            yield server, threads, store


def test_who_finds_another_asking_waits_no_longer_than_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_store, "REFUSED_FOR", 0.0)
    with refused_at_the_start(0.1) as (server, threads, store):
        first = threads.submit(store.check)
        server.wait_for_attempts(2)
        second = threads.submit(store.check)
        wait_for(
            lambda: True if second.done() or server.attempts > 2 else None, what="a no", seconds=60, clock=SystemClock()
        )
        assert isinstance(second.exception(0), StoreUnavailable)
        assert not first.done()
        server.hang_up()
        assert isinstance(first.exception(), StoreUnavailable)
        assert server.attempts == 2


def test_all_who_waited_take_the_one_failure_for_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_store, "REFUSED_FOR", 0.0)
    with refused_at_the_start(FOR_EVER) as (server, threads, store):
        monkeypatch.setattr(postgres_store, "REFUSED_FOR", FOR_EVER)
        asking = [threads.submit(store.check) for _ in range(40)]
        server.wait_for_attempts(2)
        server.hang_up()
        wait_for(
            lambda: True if all(one.done() for one in asking) or server.attempts > 2 else None,
            what="an answer for each",
            seconds=60,
            clock=SystemClock(),
        )
        assert server.attempts == 2
        assert {type(one.exception(0)) for one in asking} == {StoreUnavailable}


def test_without_postgresqls_programs_its_tests_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "PROGRAMS", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="not installed"), real.real_postgres():
        pass
