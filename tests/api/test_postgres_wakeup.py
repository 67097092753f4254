"""A reader at one API process is woken by what another process takes in, also after its line to the database was cut.

The reader's poll is long; one that was not woken comes back with nothing, and the test fails.
"""

from __future__ import annotations

import hashlib
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.api.postgres_store import CHANNEL, PostgresStore
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.store import Message
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for
from tests.api.postgres import Postgres

PATH = "/v1/tunnels/" + "cd" * 16
DEVICE = secrets.token_urlsafe(32)
SHOWN = {"Authorization": f"Bearer {DEVICE}"}
ANOTHER = """
import sys
from pathlib import Path
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock

settings = ApiSettings(Path(sys.argv[1]), port=0, plain=True, database=Secret(sys.stdin.readline()))
with RunningApi(settings, clock=ManualClock()) as api:
    print(api.url, flush=True)
    sys.stdin.read()
"""


class WatchedStore(PostgresStore):
    """Says when a reader has looked: from then on only the other process can tell it anything."""

    def __init__(self, database: Secret[str]) -> None:
        super().__init__(database)
        self.looked = threading.Event()

    def messages(self, tunnel: TunnelId, after: int) -> Sequence[Message]:
        found = super().messages(tunnel, after)
        self.looked.set()
        return found


@pytest.fixture
def name(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as made:
        yield made


@pytest.fixture
def store(postgres: Postgres, name: str) -> WatchedStore:
    return WatchedStore(postgres.dsn(name))


@pytest.fixture
def here(run_api: Callable[..., RunningApi], store: WatchedStore) -> Iterator[httpx.Client]:
    """A client of the process in which readers wait."""
    with client(run_api(store=store, plain=True).url) as opened:
        yield opened


@pytest.fixture
def there(postgres: Postgres, name: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of a second process, by which everything is posted."""
    command = [sys.executable, "-c", ANOTHER, str(tmp_path / "another")]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(postgres.dsn(name).reveal() + "\n")
            process.stdin.flush()
            with client(process.stdout.readline().strip()) as opened:
                hashed = hashlib.sha256(DEVICE.encode()).hexdigest()
                offer = {"offer": "eA==", "device_token_sha256": hashed, "claim_sha256": "00" * 32, "ttl": 600}
                opened.put(PATH, json=offer).raise_for_status()
                yield opened
        finally:
            process.kill()


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, headers=SHOWN, timeout=60)


class Reader:
    """One long poll in a thread, begun and found waiting."""

    def __init__(self, http: httpx.Client, store: WatchedStore, after: int) -> None:
        self._answers: list[Any] = []
        store.looked.clear()
        self._thread = threading.Thread(target=self._read, args=(http, after))
        self._thread.start()
        assert store.looked.wait(timeout=60)

    def _read(self, http: httpx.Client, after: int) -> None:
        self._answers.append(http.get(f"{PATH}/messages?after={after}&wait=25").json())

    def answer(self) -> Any:
        self._thread.join()
        return self._answers.pop()


def listeners(postgres: Postgres, name: str) -> list[int]:
    """Processes of the server that listen for somebody, by what they were asked last."""
    with closing(postgres.connect()) as db:
        rows = db.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND query = %s AND state = 'idle'",
            [name, f"LISTEN {CHANNEL}"],
        )
        return [pid for (pid,) in rows]


def both_listen(postgres: Postgres, name: str, *, but: Sequence[int] = ()) -> list[int]:
    def found() -> list[int] | None:
        pids = [pid for pid in listeners(postgres, name) if pid not in but]
        return pids if len(pids) == 2 else None

    return wait_for(found, what="both processes listen", seconds=120, clock=SystemClock())


def test_what_another_process_takes_in_wakes_readers_here_also_after_a_cut(
    postgres: Postgres, name: str, store: WatchedStore, here: httpx.Client, there: httpx.Client
) -> None:
    before = both_listen(postgres, name)
    reader = Reader(here, store, 1)
    there.post(PATH + "/messages", json={"slot": "confirm", "blob": "bTM="}).raise_for_status()
    assert reader.answer() == {"state": "open", "messages": [{"number": 2, "slot": "confirm", "blob": "bTM="}]}

    with closing(postgres.connect()) as db:
        for pid in before:
            db.execute("SELECT pg_terminate_backend(%s, 30000)", [pid])
    both_listen(postgres, name, but=before)
    reader = Reader(here, store, 2)
    there.post(PATH + "/stop", json={}).raise_for_status()
    assert reader.answer() == {"state": "closed", "messages": []}


def test_what_came_while_nobody_listened_is_found_when_somebody_does(
    postgres: Postgres, name: str, store: WatchedStore, here: httpx.Client, there: httpx.Client
) -> None:
    """Between a cut and the next LISTEN nothing is heard. So all readers look once more afterwards."""
    before = both_listen(postgres, name)
    reader = Reader(here, store, 1)
    with closing(postgres.connect(name)) as db:
        # Not told to anybody: what a lost word looks like.
        db.execute("INSERT INTO messages SELECT tid, 2, 'confirm', 'm3', '', created FROM tunnels")
        for pid in before:
            db.execute("SELECT pg_terminate_backend(%s, 30000)", [pid])
    assert reader.answer() == {"state": "open", "messages": [{"number": 2, "slot": "confirm", "blob": "bTM="}]}
