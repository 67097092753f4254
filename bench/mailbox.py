"""How long after a post a waiting reader has the message: the real API, TLS and both clients, over loopback.

The ratio is against a plain request of the same client over the same connection: what TLS, HTTP and the store cost anyway.
"""

from __future__ import annotations

import queue
import secrets
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench.result import Result, Series, paired
from bench.saying import say
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.api.sqlite_store import SqliteStore
from support_tunnel.api.store import Message
from support_tunnel.api.tokens import create_token
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

__all__ = ["measure"]

MANY = 100_000
PATIENCE = 20.0


class WatchedStore(SqliteStore):
    """Says when a reader has looked, for then it waits; a pause in its place would only be likely to be enough."""

    looked = threading.Event()

    def messages(self, tunnel: TunnelId, after: int) -> Sequence[Message]:
        found = super().messages(tunnel, after)
        self.looked.set()
        return found


class Reader:
    """The admin's side in a thread: told after which message to wait, it gives the time at which the next one came."""

    def __init__(self, mailbox: HttpMailbox, tunnel: TunnelId) -> None:
        self._mailbox = mailbox
        self._tunnel = tunnel
        self._orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.came: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_after(self, number: int) -> None:
        self._orders.put(number)

    def end(self) -> None:
        self._orders.put(None)
        self._thread.join()

    def _read(self) -> None:
        while (after := self._orders.get()) is not None:
            self._mailbox.messages(self._tunnel, after=after, wait=PATIENCE)
            self.came.put(time.monotonic())


def measure(runs: int) -> Result:
    say(f"mailbox: {runs} messages")
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="bench-mailbox-") as folder:
        store = WatchedStore(Path(folder) / "mailbox.sqlite")
        settings = ApiSettings(Path(folder), port=0, requests_per_minute=MANY)
        with RunningApi(settings, clock=clock, store=store) as api:
            claim = Secret(secrets.token_bytes(32))
            token = create_token(store, name="bench", clock=clock)
            tunnel = TunnelId(secrets.token_hex(16))
            with (
                HttpMailbox(api.url, clock=clock, fingerprint=api.fingerprint) as device,
                HttpMailbox(api.url, clock=clock, fingerprint=api.fingerprint, admin_token=token, claim=claim) as admin,
            ):
                device.open(tunnel, b"offer", claim=claim, ttl=600)
                wakes, plain = _wakes(device, admin, store, tunnel, runs)
    return Result(
        "mailbox",
        (paired("post to reader's return / plain read", zip(wakes, plain, strict=True)),),
        (
            Series("post to reader's return", "ms", tuple(1000 * sample for sample in wakes)),
            Series("plain read", "ms", tuple(1000 * sample for sample in plain)),
        ),
    )


def _wakes(
    device: HttpMailbox, admin: HttpMailbox, store: WatchedStore, tunnel: TunnelId, runs: int
) -> tuple[list[float], list[float]]:
    wakes, plain = [], []
    reader = Reader(admin, tunnel)
    try:
        for number in range(1, runs + 1):  # the offer is message 1
            started = time.monotonic()
            device.messages(tunnel, after=number, wait=0)
            plain.append(time.monotonic() - started)
            store.looked.clear()
            reader.wait_after(number)
            if not store.looked.wait(PATIENCE):
                raise RuntimeError("the reader's request did not arrive")
            posted = time.monotonic()
            device.post(tunnel, "control-device", number.to_bytes(4, "big"))
            wakes.append(reader.came.get(timeout=PATIENCE) - posted)
    finally:
        reader.end()
    return wakes, plain
