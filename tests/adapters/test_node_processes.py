"""Ending the processes of one socket: politely, then not; and nobody else's, also where a name or a number looks alike."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support_tunnel.adapters import node_processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core.waiting import wait_for

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")

CLOCK = SystemClock()
PROGRAM = "import signal, sys; {set}; print('up', flush=True); sys.stdin.read()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


class Starter:
    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends

    def start(self, *words: str, stubborn: bool = False) -> subprocess.Popen[str]:
        program = PROGRAM.format(set=STUBBORN if stubborn else "pass")
        process = self._ends.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        self._ends.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process


@pytest.fixture
def starter() -> Iterator[Starter]:
    with ExitStack() as ends:
        yield Starter(ends)


def test_all_of_that_socket_end_and_nobody_else(starter: Starter, tmp_path: Path) -> None:
    socket = tmp_path / "a" / "socket"
    mine = [starter.start("--tun=x", f"--socket={socket}"), starter.start(f"--socket={socket}", "nc")]
    others = [
        starter.start(f"--socket={tmp_path}/ab/socket"),
        starter.start(f"--socket={socket}.old"),
        starter.start(f"--state=--socket={socket}"),
        starter.start(str(socket)),
    ]
    node_processes.end_all(socket, clock=CLOCK)
    assert [process.wait(timeout=60) for process in mine] == [-15, -15]
    assert [process.poll() for process in others] == [None] * 4
    node_processes.end_all(socket, clock=CLOCK)


def test_one_that_does_not_listen_is_killed(starter: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_processes, "_POLITE", 0.2)
    stubborn = starter.start(f"--socket={tmp_path}/socket", stubborn=True)
    node_processes.end_all(tmp_path / "socket", clock=CLOCK)
    assert stubborn.wait(timeout=60) == -9


def test_a_number_that_is_another_process_by_now_is_left_alone(
    starter: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was ours when the list was made; when it is to be signalled, somebody else has its number."""
    stranger = starter.start("--socket=/run/somebody/socket")
    listed = [(stranger.pid, [f"--socket={tmp_path}/socket"])]
    monkeypatch.setattr(node_processes, "_ours", lambda: iter(listed))
    node_processes.end_all(tmp_path / "socket", clock=CLOCK)
    assert stranger.poll() is None
    listed[:] = [(2**22 + 1, [f"--socket={tmp_path}/socket"])]  # beyond the kernel's largest number
    node_processes.end_all(tmp_path / "socket", clock=CLOCK)


def test_sockets_are_seen_while_a_process_has_them(starter: Starter, tmp_path: Path) -> None:
    socket = tmp_path / "nodes" / "x" / "socket"
    process = starter.start(f"--socket={socket}")
    starter.start(f"--socket={tmp_path}/elsewhere")
    assert node_processes.sockets_under(tmp_path / "nodes") == {socket}
    process.kill()
    process.wait(timeout=60)
    wait_for(lambda: not node_processes.sockets_under(tmp_path / "nodes") or None, what="none", seconds=60, clock=CLOCK)


def test_of_another_user_is_none_of_ours(starter: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = starter.start(f"--socket={tmp_path}/socket")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert node_processes.sockets_under(tmp_path) == set()
    node_processes.end_all(tmp_path / "socket", clock=CLOCK)
    assert process.poll() is None
