"""Whole programs as they are started by a person: wall clock from start to end, CPU of the program and all its children."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.adapters.processes import environment

__all__ = ["Ended", "run"]

ORDERLY = 60
"""Seconds for a program to unmake what it made: a rehearsal has hosts to end."""


@dataclass(frozen=True, slots=True)
class Ended:
    stdout: str
    seconds: float
    cpu_seconds: float
    """User and system time of the program and of every child that it waited for."""


def run(
    argv: Sequence[str | Path],
    *,
    folder: Path,
    env: Mapping[str, str] | None = None,
    accept: Collection[int] = (0,),
) -> Ended:
    """Run to the end; whatever interrupts us ends it first. Raises RuntimeError on a status that is not in `accept`."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        # In a session of its own: Ctrl-C comes to us alone, and we end the whole group.
        process = subprocess.Popen(
            [str(word) for word in argv],
            cwd=folder, env=environment(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _end(process)
            raise
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)  # else Popen would look for it again
        out.seek(0)
        err.seek(0)
        said, complained = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if process.returncode not in accept:
        raise RuntimeError(f"{argv[0]} ended with {process.returncode}:\n{said[-3000:]}\n{complained[-3000:]}")
    return Ended(said, seconds, usage.ru_utime + usage.ru_stime)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(ORDERLY)
        os.killpg(process.pid, signal.SIGKILL)  # and whatever of its group is still there
    process.wait()
