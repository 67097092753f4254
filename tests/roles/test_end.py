"""How it ends: at the stop, by the clock, and with nothing left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.snapshot import changes
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes, undo_report, undo_script
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.roles.hosts import NAMES, PATIENCE, Pair, apply, make_pair, make_server, run, server_variables, soon

pytestmark = pytest.mark.onebox

JOB = "trap '' TERM HUP; while :; do sleep 0.1; done"
LEAVE_A_JOB = f'setsid nohup sh -c "{JOB}" </dev/null >/dev/null 2>&1 & touch /tmp/a /var/tmp/b /dev/shm/c ~/d'
UNDO = f"/run/support_tunnel-undo/{NAMES.short}"
NOT_OURS = ("var/log",)
"""The journal and root's own logins of this test."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with scratch_cloud() as driver, make_pair(driver, tmp_path) as made:
        yield made


def processes_of_the_session(pair: Pair) -> list[str]:
    return run(pair.device_shell, f"ps -u {NAMES.user} -o args=").stdout.splitlines()


def state(pair: Pair) -> str:
    """Everything a device has beside its disk: accounts, interfaces, tables, units, files in /run."""
    return run(
        pair.device_shell,
        """getent passwd; getent group; ip -br link | cut -d' ' -f1; nft list tables
        systemctl list-units --all --plain --no-legend 'st*'; find /run/systemd/system /run/systemd/propagate /run/support_tunnel* /run/wireguard /run/sshd
        ls /tmp /var/tmp /dev/shm /dev/mqueue | grep -v systemd-private; ipcs -a""",
    ).stdout


def test_stop_and_undo_leave_the_device_as_it_was(pair: Pair) -> None:
    run(pair.device_shell, "mkdir -p -m 700 /run/support_tunnel-undo")
    before, disk = state(pair), pair.driver.ex_snapshot(pair.device)
    pair.apply_device(undo=UNDO)
    assert pair.ssh(LEAVE_A_JOB).status == 0
    assert [args for args in processes_of_the_session(pair) if "trap" in args]

    # The kill switch alone: no program of ours has a part in it.
    assert run(pair.device_shell, "systemctl stop 'st-*'").status == 0
    assert processes_of_the_session(pair) == []
    assert run(pair.device_shell, f"ip link show {NAMES.interface}").status != 0
    assert run(pair.device_shell, "nft list tables").stdout == ""

    undone = undo_report(pair.device_shell.run_script(undo_script(UNDO), timeout=60))
    assert undone.failed is None, undone.failed
    assert probes.read(pair.device_shell, probes.leftovers(NAMES), timeout=20) == {}
    assert state(pair) == before
    assert changes(disk, pair.driver.ex_snapshot(pair.device), ignoring=NOT_OURS) == []


def test_undo_ends_a_session_that_nobody_stopped(pair: Pair) -> None:
    run(pair.device_shell, "mkdir -p -m 700 /run/support_tunnel-undo")
    before = state(pair)
    pair.apply_device(undo=UNDO)
    assert pair.ssh(LEAVE_A_JOB).status == 0
    undone = undo_report(pair.device_shell.run_script(undo_script(UNDO), timeout=60))
    assert undone.failed is None, undone.failed
    assert state(pair) == before


def test_no_login_after_the_expiry_time(pair: Pair) -> None:
    pair.apply_device()
    assert pair.ssh("true").status == 0
    pair.apply_device(device_access_expiry=soon(timedelta(minutes=-1)).strftime("%Y%m%d%H%M%SZ"))
    refused = pair.ssh("true")
    assert refused.status == 255
    assert "Permission denied" in refused.stderr


def test_the_session_ends_by_its_own_limit(pair: Pair) -> None:
    pair.apply_device(device_access_seconds=3)
    cut = pair.ssh(f"{LEAVE_A_JOB}; sleep 50")
    assert cut.status == 255
    assert processes_of_the_session(pair) == []


def test_the_server_ends_itself() -> None:
    with scratch_cloud() as driver:
        server = make_server(driver)
        with server.connect(server.first_key) as shell:
            hour = int(soon(timedelta(seconds=8)).timestamp())
            apply(shell, ("tunnel_server",), server_variables(tunnel_server_expires=hour))

        def off() -> bool | None:
            return True if str(driver.list_nodes()[0].state) == "stopped" else None

        assert wait_for(off, what="the server's end", seconds=PATIENCE, clock=SystemClock())
