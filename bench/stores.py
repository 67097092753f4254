"""Requests a second that one API process answers over SQLite and over PostgreSQL, each syncing to disk before it acknowledges.

The whole way: client, TLS, HTTP, rights, rows; both stores on the same disk, one run right after the other.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.result import Result, Series, paired
from bench.saying import say
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from tests.api.postgres import real_postgres

__all__ = ["measure"]

MANY = 1_000_000
CLIENTS = 4
EACH = 50
"""Requests of a client in one run."""
DURABLE = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on", "shared_buffers": "128MB"}


class Office:
    """One API with some devices, each with a tunnel of its own."""

    def __init__(self, api: RunningApi, ends: ExitStack) -> None:
        self._devices: list[tuple[HttpMailbox, TunnelId]] = []
        for _ in range(CLIENTS):
            device = ends.enter_context(HttpMailbox(api.url, clock=SystemClock(), fingerprint=api.fingerprint))
            tunnel = TunnelId(secrets.token_hex(16))
            device.open(tunnel, b"offer", claim=Secret(bytes(32)), ttl=86_400)
            self._devices.append((device, tunnel))

    def posts(self) -> float:
        return self._rate(lambda device, tunnel: device.post(tunnel, "control-device", secrets.token_bytes(512)))

    def reads(self) -> float:
        return self._rate(lambda device, tunnel: device.messages(tunnel, after=0, wait=0))

    def _rate(self, call: Callable[[HttpMailbox, TunnelId], object]) -> float:
        def work(one: tuple[HttpMailbox, TunnelId]) -> None:
            for _ in range(EACH):
                call(*one)

        started = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(work, self._devices))
        return CLIENTS * EACH / (time.monotonic() - started)


@contextmanager
def _offices() -> Iterator[tuple[Office, Office]]:
    clock = SystemClock()
    with (
        tempfile.TemporaryDirectory(prefix="bench-stores-") as folder,
        real_postgres(**DURABLE) as server,
        server.database() as name,
        ExitStack() as ends,
    ):
        places = {"sqlite": None, "postgres": server.dsn(name)}
        offices = [
            Office(
                ends.enter_context(
                    RunningApi(
                        ApiSettings(Path(folder, label), port=0, requests_per_minute=MANY, database=database),
                        clock=clock,
                    )
                ),
                ends,
            )
            for label, database in places.items()
        ]
        yield offices[0], offices[1]


def measure(runs: int) -> Result:
    say(f"stores: {runs} runs of {CLIENTS * EACH} requests for each store, posts and reads")
    found: dict[str, list[float]] = {}
    with _offices() as (sqlite, postgres):
        for _ in range(runs):
            for label, rate in (
                ("posts, SQLite", sqlite.posts),
                ("posts, PostgreSQL", postgres.posts),
                ("reads, SQLite", sqlite.reads),
                ("reads, PostgreSQL", postgres.reads),
            ):
                found.setdefault(label, []).append(rate())
    return Result(
        "stores",
        tuple(
            paired(
                f"{what} a second, PostgreSQL / SQLite",
                zip(found[f"{what}, PostgreSQL"], found[f"{what}, SQLite"], strict=True),
            )
            for what in ("posts", "reads")
        ),
        tuple(Series(label, "requests/s", tuple(samples)) for label, samples in found.items()),
    )
