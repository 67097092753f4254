"""A waiting reader is woken by what happens, not by its own clock: a poll that runs out comes back with nothing."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from support_tunnel.adapters.tls_pin import parse_fingerprint, pinned_context
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.sqlite_store import SqliteStore
from support_tunnel.api.store import Message
from support_tunnel.core.names import TunnelId

PATH = "/v1/tunnels/" + "ab" * 16
DEVICE = secrets.token_urlsafe(32)


class WatchedStore(SqliteStore):
    """Says when a reader has looked: from then on only a bell can tell it anything."""

    looked = threading.Event()

    def messages(self, tunnel: TunnelId, after: int) -> Sequence[Message]:
        found = super().messages(tunnel, after)
        self.looked.set()
        return found


class Reader:
    """One long poll in a thread, begun and found waiting."""

    def __init__(self, http: httpx.Client, store: WatchedStore) -> None:
        self._answers: list[tuple[int, Any]] = []
        self._http = http
        store.looked.clear()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        assert store.looked.wait(timeout=60)

    def _read(self) -> None:
        answer = self._http.get(PATH + "/messages?after=1&wait=20", timeout=60)
        self._answers.append((answer.status_code, answer.json()))

    def answer(self) -> tuple[int, Any]:
        self._thread.join()
        (answer,) = self._answers
        return answer


@pytest.fixture
def store(tmp_path: Path) -> WatchedStore:
    return WatchedStore(tmp_path / "mailbox.sqlite")


@pytest.fixture
def api(run_api: Callable[..., RunningApi], store: WatchedStore) -> RunningApi:
    return run_api(store=store)


@pytest.fixture
def http(api: RunningApi) -> Iterator[httpx.Client]:
    tls = pinned_context(parse_fingerprint(api.fingerprint or ""))
    shown = {"Authorization": f"Bearer {DEVICE}"}
    with httpx.Client(base_url=api.url, verify=tls, trust_env=False, headers=shown) as client:
        hashed = hashlib.sha256(DEVICE.encode()).hexdigest()
        offer = {"offer": "eA==", "device_token_sha256": hashed, "claim_sha256": "00" * 32, "ttl": 600}
        client.put(PATH, json=offer).raise_for_status()
        yield client


def test_a_message_wakes_its_readers(http: httpx.Client, store: WatchedStore) -> None:
    readers = [Reader(http, store), Reader(http, store)]
    http.post(PATH + "/messages", json={"slot": "confirm", "blob": "bTM="}).raise_for_status()
    expected = {"state": "open", "messages": [{"number": 2, "slot": "confirm", "blob": "bTM="}]}
    assert [reader.answer() for reader in readers] == [(200, expected)] * 2


def test_the_end_of_the_tunnel_wakes_its_readers(http: httpx.Client, store: WatchedStore) -> None:
    reader = Reader(http, store)
    http.post(PATH + "/stop", json={}).raise_for_status()
    assert reader.answer() == (200, {"state": "closed", "messages": []})


def test_a_server_that_stops_sends_its_readers_home(http: httpx.Client, store: WatchedStore, api: RunningApi) -> None:
    reader = Reader(http, store)
    api.stop()
    assert reader.answer() == (200, {"state": "open", "messages": []})
