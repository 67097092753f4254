"""A real API on loopback, with TLS and a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.testing.clock import ManualClock


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
