"""Runs a command, then names what it left on this machine: processes, network namespaces, interfaces, overlay mounts.

It asks the kernel and knows none of our names, so a leak cannot hide behind a bug in how we name or list things. It ends
nothing itself: what is left is evidence. Exit code: the command's own, or 3 when that was 0 and something was left.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess  # noqa: TID251 - runs before and outside the package, so not through adapters.processes
import sys
import time
from pathlib import Path

__all__ = ["main"]

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
GRACE_SECONDS = 2.0  # a process that was told to end may still be ending
LEFT = 3


def adopt_orphans() -> None:
    """Become the parent of every daemon and container that outlives the process that started it."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def things() -> set[str]:
    """List what outlives processes."""
    names = Path("/run/netns")
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return {
        *(f"network namespace {entry.name}" for entry in (names.iterdir() if names.is_dir() else ())),
        *(f"network interface {entry.name}" for entry in Path("/sys/class/net").iterdir()),
        *(f"overlay mount {target}" for _, target, kind, *_ in mounts if kind == "overlay"),
    }


def children() -> set[str]:
    """List our living children: the command has ended, so each is an orphan of its."""
    alive = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, rest = (folder / "stat").read_text().split("(", 1)[1].rsplit(") ", 1)
            arguments = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        state, parent, *_ = rest.split()
        if parent == str(os.getpid()) and state != "Z":
            alive.add(f"process {folder.name} {arguments or name}")
    return alive


def orphans() -> set[str]:
    """Reap what ends within the grace; list what does not."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # an end between two looks stays pending, not lost
    deadline = time.monotonic() + GRACE_SECONDS
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return set()
        if (seconds := deadline - time.monotonic()) <= 0:
            return children()
        signal.sigtimedwait({signal.SIGCHLD}, seconds)


def end_of(wanted: int) -> int:
    """Wait for one process and reap every orphan meanwhile: some programs wait until a child of theirs is really gone."""
    while True:
        pid, status = os.wait()
        if pid == wanted:
            return os.waitstatus_to_exitcode(status)


def main(command: list[str]) -> int:
    """Run `command` to its end, whatever is pressed meanwhile, and compare."""
    adopt_orphans()
    before = things()
    process = subprocess.Popen(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the command too
    signal.signal(signal.SIGTERM, lambda *_: os.kill(process.pid, signal.SIGTERM))
    status = end_of(process.pid)
    left = sorted(orphans() | (things() - before))
    sys.stdout.writelines(f"left behind: {line}\n" for line in left)
    return status or (LEFT if left else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
