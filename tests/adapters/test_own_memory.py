"""A crash of one of our tools leaves no core file, and another process of the same user cannot read its memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.cli import paths

NOBODY = 65534
TOOL = """
import ctypes, os, resource, sys
sys.path.insert(0, sys.argv[1])
from support_tunnel.cli.boundary import boundary
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
os.chdir(sys.argv[2])
if sys.argv[4] == "drop":
    os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
    # A change of user closes a process by itself (prctl(2)); a program that this user starts is open.
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
if sys.argv[3] == "closed":
    boundary(lambda: None)()
print("ready", flush=True)
sys.stdin.read()
"""
OPENS = "for file in mem environ; do if (: < /proc/$0/$file) 2>/dev/null; then echo opened; else echo refused; fi; done"


@contextmanager
def tool(folder: Path, *, closed: bool, drop: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process that holds something: as one of our verbs would be, or one that did not care."""
    how = ("closed" if closed else "open", "drop" if drop else "stay")
    argv = [sys.executable, "-c", TOOL, str(paths.REPOSITORY), str(folder), *how]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def cores(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def core_file_here() -> bool:
    """Whether a core would lie in the folder of the process that crashed."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    return not pattern.startswith(("|", "/"))


@pytest.mark.parametrize("closed", [True, False])
def test_a_crash_leaves_no_core(tmp_path: Path, closed: bool) -> None:
    with tool(tmp_path, closed=closed) as process:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert ("Max core file size        0 " in limits) is closed
        process.send_signal(signal.SIGABRT)
        process.wait(timeout=30)
    # Not closed: the same crash does leave one, where this kernel writes it into the folder of the process.
    assert bool(cores(tmp_path)) is (not closed and core_file_here())


@pytest.mark.parametrize("closed", [True, False])
def test_no_other_process_of_the_same_user_reads_its_memory(tmp_path: Path, closed: bool) -> None:
    as_root = os.geteuid() == 0
    with tool(tmp_path, closed=closed, drop=as_root) as process:
        same_user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if as_root else []
        seen = processes.run(["setpriv", *same_user, "sh", "-c", OPENS, str(process.pid)])
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    restricted = scope.exists() and scope.read_text().strip() != "0"
    assert seen.stdout.split() == ["refused" if closed or restricted else "opened"] * 2
