"""kill -9 of the API between storing a message and answering: the client asks again, and there is one copy, in order."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

DIES_AFTER_STORING = """
import os, signal, sys
from pathlib import Path
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.api.sqlite_store import SqliteStore
from support_tunnel.testing.clock import ManualClock

class Dies(SqliteStore):
    def append(self, *args, **kwargs):
        super().append(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

settings = ApiSettings(Path(sys.argv[1]), port=0)
with RunningApi(settings, clock=ManualClock(), store=Dies(settings.store_path)) as api:
    print(api.url, api.fingerprint, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", DIES_AFTER_STORING, str(tmp_path / "api")]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_lost_reply_is_asked_for_again(dying: subprocess.Popen[str], run_api: Callable[..., RunningApi]) -> None:
    assert dying.stdout is not None
    url, fingerprint = dying.stdout.readline().split()
    tunnel = TunnelId(secrets.token_hex(16))
    failed: list[HostError] = []
    with HttpMailbox(url, clock=SystemClock(), fingerprint=fingerprint, patience=60) as device:
        device.open(tunnel, b"offer", claim=Secret(bytes(32)), ttl=600)

        def post() -> None:
            try:
                device.post(tunnel, "confirm", b"m3")
            except HostError as error:
                failed.append(error)

        posting = threading.Thread(target=post)
        posting.start()
        assert dying.wait(timeout=60) == -9
        run_api(port=int(url.rpartition(":")[2]))
        posting.join()
        device.post(tunnel, "ready", b"m4")
        assert failed == []
        assert [(blob.number, blob.data) for blob in device.messages(tunnel, after=0, wait=0)] == [
            (1, b"offer"),
            (2, b"m3"),
            (3, b"m4"),
        ]
