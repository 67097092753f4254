"""A disk that is full under a running API, with a real file system that is small (35): refused, read on, and well again by itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob
from support_tunnel.core.secret import Secret

pytestmark = pytest.mark.onebox  # mounts

CLAIM = Secret(bytes(32))
LONGEST = 16 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte, for the API's state and whoever else writes there."""
    folder = tmp_path / "disk"
    folder.mkdir()
    processes.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "support-tunnel-test", folder])
    try:
        yield folder
    finally:
        processes.run(["umount", folder])


def fill(file: Path) -> None:
    """Write until nothing more fits, to the last byte."""
    with file.open("wb", buffering=0) as out:
        for size in (64 * 1024, 1):
            try:
                while True:
                    out.write(bytes(size))
            except OSError:
                continue


def test_a_full_disk_refuses_reads_on_and_recovers_without_a_restart(
    disk: Path, run_api: Callable[..., RunningApi]
) -> None:
    api = run_api(state_dir=disk / "api")
    tunnel, late = TunnelId(secrets.token_hex(16)), TunnelId(secrets.token_hex(16))
    with HttpMailbox(api.url, clock=SystemClock(), fingerprint=api.fingerprint, patience=0) as device:
        device.open(tunnel, b"offer", claim=CLAIM, ttl=600)
        fill(disk / "of-somebody-else")
        with pytest.raises(HostError, match=r"status 50[37]"):
            device.post(tunnel, "confirm", bytes(LONGEST))
        with pytest.raises(HostError, match=r"status 50[37]"):
            device.open(late, bytes(LONGEST), claim=CLAIM, ttl=600)
        assert list(device.messages(tunnel, after=0, wait=0)) == [Blob(1, "offer", b"offer")]
        (disk / "of-somebody-else").unlink()
        device.post(tunnel, "confirm", bytes(LONGEST))
        device.open(late, bytes(LONGEST), claim=CLAIM, ttl=600)
        kept = [Blob(1, "offer", b"offer"), Blob(2, "confirm", bytes(LONGEST))]
        assert list(device.messages(tunnel, after=0, wait=0)) == kept
