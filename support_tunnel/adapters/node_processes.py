"""The processes of an own node on this machine, found by the socket that they were started for, whoever started them (Linux).

A number of a process is used again once it has ended: one is held by a descriptor before it is looked at, so that nobody else is
signalled. Must not touch what does not name that very socket, or belongs to another user.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Clock
from support_tunnel.core.waiting import wait_for

__all__ = ["end_all", "sockets_under"]

_FLAG = "--socket="
_POLITE = 4.0
"""Seconds to log out: the server then forgets the node at once, and not a minute after it went silent."""


def end_all(socket: Path, *, clock: Clock) -> None:
    """End every process of ours that was started with `--socket=` this, and see that they are gone. None is fine."""
    with _held(socket) as found:
        for process in found:
            _signal(process, signal.SIGTERM)
    with suppress(HostError):
        _wait_for_none(socket, _POLITE, clock)
    # Again and again: one that was just being started may have been missed.
    while True:
        with _held(socket) as found:
            if not found:
                return
            for process in found:
                _signal(process, signal.SIGKILL)
        _wait_for_none(socket, 10, clock)


def sockets_under(folder: Path) -> set[Path]:
    """Sockets below `folder` that processes of ours were started for."""
    named = (Path(word.removeprefix(_FLAG)) for _, words in _ours() for word in words if word.startswith(_FLAG))
    return {path for path in named if folder in path.parents}


@contextmanager
def _held(socket: Path) -> Iterator[list[int]]:
    """Descriptors of the processes of that socket; each is looked at again once it is held."""
    with ExitStack() as ends:
        held = []
        for number in (number for number, words in _ours() if _FLAG + str(socket) in words):
            with suppress(ProcessLookupError):
                process = os.pidfd_open(number)
                ends.callback(os.close, process)
                if _FLAG + str(socket) in _words(number):
                    held.append(process)
        yield held


def _wait_for_none(socket: Path, seconds: float, clock: Clock) -> None:
    def none() -> bool | None:
        with _held(socket) as left:
            return None if left else True

    wait_for(none, what="the end of this machine's node", seconds=seconds, clock=clock)


def _signal(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, number)


def _ours() -> Iterator[tuple[int, list[str]]]:
    """Number and arguments of each process of this user; a zombie has no arguments."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            if entry.stat().st_uid == os.geteuid():
                yield int(entry.name), _words(int(entry.name))


def _words(number: int) -> list[str]:
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
