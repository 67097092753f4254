"""A real API on loopback, with TLS and a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.api.serve import RunningApi, open_store
from support_tunnel.api.settings import ApiSettings
from support_tunnel.api.store import Store
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from tests.api.postgres import Postgres, real_postgres

Reopen = Callable[[], Store]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def run_api(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[..., RunningApi]]:
    """Start an API with changed settings; each ends with the test, whatever happens in it."""
    with ExitStack() as running:

        def run(store: Any = None, **changes: Any) -> RunningApi:
            chosen: dict[str, Any] = {
                "state_dir": tmp_path / "api",
                "port": 0,
                "requests_per_minute": 100_000,
                "opens_per_hour": 100_000,
            }
            settings = ApiSettings(**(chosen | changes))
            return running.enter_context(RunningApi(settings, clock=clock, store=store))

        yield run


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with real_postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Secret[str]]:
    """The connection string of a mailbox's database of its own, empty and up to date."""
    with postgres.database() as name:
        yield postgres.dsn(name)


@pytest.fixture(params=["sqlite", "postgres"])
def chosen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings that choose the store."""
    return {} if request.param == "sqlite" else {"database": request.getfixturevalue("database")}


@pytest.fixture
def reopen(tmp_path: Path, chosen: dict[str, Any]) -> Iterator[Reopen]:
    """Open the same store once more, as another process would."""
    with ExitStack() as ends:

        def opened() -> Store:
            store = open_store(ApiSettings(tmp_path / "api", **chosen))
            ends.callback(store.disconnect)
            return store

        yield opened
