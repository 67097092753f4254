"""LocalShell with a real `sh`, and sudo where this machine has an account to refuse."""

from __future__ import annotations

import os
import secrets
from functools import partial
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_shell import LocalShell, script_argv, unless_timed_out
from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@root_only
def test_a_script_comes_by_stdin_and_its_status_is_data() -> None:
    canary = secrets.token_hex(16)
    script = f": {canary}\ncat /proc/$$/cmdline | tr '\\0' ' '; echo err >&2; exit 9\n"
    ended = LocalShell().run_script(Secret(script), timeout=10)
    assert (ended.status, ended.stdout, ended.stderr) == (9, "sh -s ", "err\n")


@root_only
def test_a_script_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(HostError) as caught:
        LocalShell().run_script(Secret(f"sleep 600 & echo $! $$ > {pids}; wait\n"), timeout=1)
    assert caught.value.code == "host.timeout"
    for pid in pids.read_text().split():
        wait_for(partial(ended, int(pid)), what=f"the end of {pid}", seconds=10, clock=SystemClock())


def ended(pid: int) -> bool | None:
    """True once `pid` is gone, or only waits to be collected by the machine's init."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return True if state == "Z" else None


@root_only
def test_a_script_may_itself_exit_with_124() -> None:
    assert LocalShell().run_script(Secret("exit 124\n"), timeout=30).status == 124


def test_without_root_it_goes_by_sudo_that_may_not_ask() -> None:
    assert script_argv(root=False, timeout=1.5)[:2] == ["sudo", "-n"]
    assert script_argv(root=False, timeout=1.5)[2:] == script_argv(root=True, timeout=1.5)
    assert script_argv(root=True, timeout=1.5) == ["timeout", "--kill-after=2", "2", "sh", "-s"]


def test_a_sudo_that_wants_a_password_is_told_as_such() -> None:
    said = Completed(1, "", "sudo: a password is required\n")
    with pytest.raises(HostError) as caught:
        unless_timed_out(said, seconds=0.1, timeout=10, host="device")
    assert caught.value.code == "host.sudo"
