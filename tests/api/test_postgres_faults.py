"""PostgreSQL that is down, restarted, full, slow, without a place, or that asks to try again: 503 or 507, and then it goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.adapters.tls_pin import parse_fingerprint, pinned_context
from support_tunnel.api.postgres_link import MOST
from support_tunnel.api.postgres_store import PostgresStore
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.store import Outcome, Receipt, StoreFull, StoreUnavailable
from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.api.postgres import Postgres
from tests.api.rows import new_id, row

CLAIM = Secret(bytes(32))
IMPATIENT = 0.3

RAISES = """
CREATE SEQUENCE turns;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('turns') <= {times} THEN
        RAISE EXCEPTION 'as asked for' USING ERRCODE = '{state}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuses BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION refuse();
"""
"""A sequence is not rolled back, so it counts attempts."""


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as made:
        yield made


@pytest.fixture
def open_store(postgres: Postgres, name: str) -> Iterator[Callable[..., PostgresStore]]:
    with ExitStack() as ends:
        yield lambda **changes: ends.enter_context(PostgresStore(postgres.dsn(name), **changes))


def refuse_inserts(postgres: Postgres, name: str, state: str, times: int) -> None:
    with closing(postgres.connect(name)) as db:
        db.execute(RAISES.format(state=state, times=times).encode())


def http(api: RunningApi) -> httpx.Client:
    tls = pinned_context(parse_fingerprint(api.fingerprint or ""))
    return httpx.Client(base_url=api.url, verify=tls, trust_env=False, timeout=60)


def opened(client: httpx.Client) -> httpx.Response:
    body = {"offer": "eA==", "device_token_sha256": "00" * 32, "claim_sha256": "00" * 32, "ttl": 600}
    return client.put(f"/v1/tunnels/{new_id()}", json=body)


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_the_database_asks_to_repeat_is_repeated(
    state: str, postgres: Postgres, name: str, open_store: Callable[..., PostgresStore], clock: ManualClock
) -> None:
    store, tunnel = open_store(), row()
    refuse_inserts(postgres, name, state, 3)
    assert store.put(tunnel, clock.now()) is Outcome.STORED
    assert [message.data for message in store.messages(tunnel.tunnel, 0)] == [b"offer"]


def test_it_is_not_repeated_for_ever(
    postgres: Postgres, name: str, open_store: Callable[..., PostgresStore], clock: ManualClock
) -> None:
    store = open_store()
    refuse_inserts(postgres, name, "40001", 1000)
    with pytest.raises(StoreUnavailable):
        store.put(row(), clock.now())
    assert store.count(clock.now()).open == 0


@pytest.mark.parametrize(("state", "status"), [("53100", 507), ("53200", 503), ("25006", 503), ("57014", 503)])
def test_no_room_is_507_all_else_503_and_both_pass(
    state: str, status: int, postgres: Postgres, name: str, run_api: Callable[..., RunningApi], clock: ManualClock
) -> None:
    """Disk full, out of memory, a read-only standby, a cancelled statement."""
    api = run_api(database=postgres.dsn(name))
    refuse_inserts(postgres, name, state, 1)
    with http(api) as client:
        refused = opened(client)
        assert refused.status_code == status
        assert (refused.headers.get("retry-after") is not None) == (status == 503)
        assert "as asked for" not in refused.text
        assert opened(client).status_code == 201
    assert api.store.count(clock.now()).open == 1  # what was refused left nothing


def test_a_server_that_is_down_at_the_start_is_waited_for(
    postgres: Postgres, name: str, run_api: Callable[..., RunningApi], caplog: pytest.LogCaptureFixture
) -> None:
    secret = "not-to-be-seen"
    postgres.stop()
    try:
        with caplog.at_level(logging.DEBUG):
            api = run_api(database=postgres.dsn(name, password=secret), store_patience=IMPATIENT)
            with http(api) as client:
                for _ in range(5):
                    refused = opened(client)
                health = client.get("/healthz")
    finally:
        postgres.start()
    assert (refused.status_code, refused.json()["code"], health.status_code) == (503, "api.store", 503)
    assert int(refused.headers["retry-after"]) > 0
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert sum("cannot be used yet" in line for line in warned) == 1
    assert len(warned) <= 4, warned  # and not a line for each request
    assert secret not in caplog.text + refused.text
    with HttpMailbox(api.url, clock=SystemClock(), fingerprint=api.fingerprint, patience=60) as device:
        device.open(new_id(), b"offer", claim=CLAIM, ttl=600)


def test_a_session_outlives_a_restart_of_the_database(
    postgres: Postgres, name: str, run_api: Callable[..., RunningApi]
) -> None:
    api, tunnel = run_api(database=postgres.dsn(name), store_patience=IMPATIENT), new_id()
    with HttpMailbox(api.url, clock=SystemClock(), fingerprint=api.fingerprint, patience=60) as device:
        device.open(tunnel, b"offer", claim=CLAIM, ttl=600)
        postgres.stop()
        try:
            with http(api) as client:
                assert client.get("/healthz").status_code == 503
        finally:
            postgres.start()
        device.post(tunnel, "confirm", b"m3")
        assert [blob.data for blob in device.messages(tunnel, after=0, wait=0)] == [b"offer", b"m3"]


def test_connections_that_were_cut_while_idle_cost_no_request(
    postgres: Postgres, name: str, open_store: Callable[..., PostgresStore], clock: ManualClock
) -> None:
    store, tunnel = open_store(patience=30.0), row()
    store.put(tunnel, clock.now())
    with closing(postgres.connect()) as db:
        cut = db.execute("SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = %s", [name])
        assert cut.fetchall()
    assert len(store.messages(tunnel.tunnel, 0)) == 1


def test_one_that_holds_a_lock_is_waited_for_no_longer_than_patience(
    postgres: Postgres, name: str, open_store: Callable[..., PostgresStore], clock: ManualClock
) -> None:
    store, tunnel = open_store(patience=IMPATIENT), row()
    store.put(tunnel, clock.now())
    with closing(postgres.connect(name)) as other, other.transaction():
        other.execute("SELECT 1 FROM tunnels FOR UPDATE")
        with pytest.raises(StoreUnavailable) as refused:
            store.append(tunnel.tunnel, "confirm", b"m3", by="", now=clock.now())
        assert isinstance(refused.value.__cause__, psycopg.errors.LockNotAvailable | psycopg.errors.QueryCanceled)
        assert len(store.messages(tunnel.tunnel, 0)) == 1  # readers do not wait
    assert store.append(tunnel.tunnel, "confirm", b"m3", by="", now=clock.now()) == Receipt(Outcome.STORED)


def test_a_server_without_a_place_for_us_is_503_and_then_not(
    postgres: Postgres, name: str, open_store: Callable[..., PostgresStore]
) -> None:
    store = open_store(patience=IMPATIENT)
    with closing(postgres.connect()) as db:
        db.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0".encode())
        db.execute("CREATE ROLE plain_user LOGIN")
        try:
            with (
                PostgresStore(postgres.dsn(name, user="plain_user"), patience=IMPATIENT) as limited,
                pytest.raises(StoreUnavailable),
            ):
                limited.check()
        finally:
            db.execute("DROP ROLE plain_user")
    store.check()


def test_requests_share_a_few_connections(
    postgres: Postgres, name: str, open_store: Callable[..., PostgresStore], clock: ManualClock
) -> None:
    store, tunnel = open_store(patience=60.0), row()
    store.put(tunnel, clock.now())
    with ThreadPoolExecutor(4 * MOST) as threads:
        read = list(threads.map(lambda _: len(store.messages(tunnel.tunnel, 0)), range(20 * MOST)))
    assert read == [1] * 20 * MOST
    with closing(postgres.connect()) as db:
        (held,) = db.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name]).fetchone() or (0,)
    assert 1 <= held <= MOST


def test_room_is_for_rows_that_are_there(open_store: Callable[..., PostgresStore], clock: ManualClock) -> None:
    """Each process takes a share in advance; what one deletes, another can use."""
    size, most = 1024, 64 * 1024
    stores: list[Any] = [open_store(max_bytes=most), open_store(max_bytes=most)]
    for turn in range(3):
        stored = 0

        def fill() -> None:
            nonlocal stored
            while stored < 1000:
                stores[stored % 2].put(row(bytes(size), ttl=10), clock.now())
                stored += 1

        with pytest.raises(StoreFull):
            fill()
        assert most // 2 < stored * size <= most + most // 16, turn
        clock.advance(10)
        for store in stores:
            store.purge(clock.now(), history=timedelta(0))


@pytest.mark.parametrize("text", ["host", "host=x pass word", "postgresql://[::1", "colour=red password=hunter2"])
def test_a_connection_string_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        PostgresStore(Secret(text))
    assert refused.value.code == "database.string"
    assert refused.value.__cause__ is None
    assert "hunter2" not in f"{refused.value} {refused.value.next_step}"
