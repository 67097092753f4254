"""Kills a run before its n-th change: programs of these names come first on PATH and count themselves.

Counting is done by builtins, so that a stand-in costs one exec; `kill -KILL 0` ends the whole run and nobody else, because a
bench runs each script in a session of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from tests.desired.bench import Bench

__all__ = ["Killing", "first_and_last"]

STAND_IN = """#!/bin/dash
read -r number <{count}
number=$((number + 1))
echo "$number" >{count}
echo {name} >>{log}
read -r fatal <{fatal}
[ "$number" != "$fatal" ] || kill -KILL 0
exec {real} "$@"
"""


class Killing:
    """Put stand-ins for `programs` on the path of `bench`; nobody is killed until `before` says at which."""

    def __init__(self, bench: Bench, programs: Sequence[str]) -> None:
        folder = bench.base / "shims"
        folder.mkdir()
        self._count, self._fatal, self._log = (folder / name for name in (".count", ".fatal", ".log"))
        for name in programs:
            real = shutil.which(name, path=f"{bench.path}:/usr/sbin:/sbin")
            assert real, f"{name} is missing on this machine"
            stand_in = folder / name
            stand_in.write_text(
                STAND_IN.format(name=name, log=self._log, count=self._count, fatal=self._fatal, real=real)
            )
            stand_in.chmod(0o755)
        bench.path = f"{folder}:{bench.path}"
        self.nowhere()

    def before(self, number: int) -> None:
        """Count from zero again, and kill before change `number` (from 1)."""
        self._count.write_text("0\n")
        self._fatal.write_text(f"{number}\n")
        self._log.write_text("")

    def nowhere(self) -> None:
        self.before(0)

    @property
    def ran(self) -> list[str]:
        """Which programs ran since, in order; number 1 is the first."""
        return self._log.read_text().split()

    @property
    def counted(self) -> int:
        return len(self.ran)


def first_and_last(ran: Sequence[str]) -> list[int]:
    """The numbers of each program's first and last turn."""
    last = {name: number for number, name in enumerate(ran, 1)}
    first = {name: number for number, name in reversed(list(enumerate(ran, 1)))}
    return sorted({*first.values(), *last.values()})
