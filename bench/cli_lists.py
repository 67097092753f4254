"""`inv --list` and `fab --list` in the checkout beside the bare tools with an empty collection: CPU of whole processes.

CPU, because on a busy machine the clock on the wall measures the neighbours.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import children
from bench.places import REPOSITORY, program
from bench.result import Result, Series, paired
from bench.saying import say

__all__ = ["measure"]

LISTS = {"inv": "tasks.py", "fab": "fabfile.py"}
EMPTY = "from invoke import Collection\n\nns = Collection()\n"
TARGET = "<= 1.2"


def measure(runs: int) -> Result:
    ratios, series = [], []
    with tempfile.TemporaryDirectory(prefix="bench-lists-") as scratch:
        for tool, file in LISTS.items():
            say(f"cli: {tool} --list, {runs} pairs")
            bare = Path(scratch, tool)
            bare.mkdir()
            (bare / file).write_text(EMPTY)
            env = {"PYTHONPYCACHEPREFIX": str(Path(scratch, "pycache"))}  # no caches of root's in somebody's checkout
            ours: list[float] = []
            theirs: list[float] = []
            for run in range(runs + 1):
                mine = children.run([program(tool), "--list"], folder=REPOSITORY, env=env)
                # An empty collection is listed as an error, after all the same work.
                empty = children.run([program(tool), "--list"], folder=bare, env=env, accept=(1,))
                if run:  # the first pair compiles
                    ours.append(mine.cpu_seconds)
                    theirs.append(empty.cpu_seconds)
            ratios.append(paired(f"{tool} --list / bare {tool}", zip(ours, theirs, strict=True), TARGET))
            series += [Series(f"{tool} --list", "CPU s", tuple(ours)), Series(f"bare {tool}", "CPU s", tuple(theirs))]
    return Result("cli", tuple(ratios), tuple(series))
