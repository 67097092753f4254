"""Program: join control groups, then become another program. Run by path with `python -I -S`, hence no imports of ours.

    enter.py CGROUP.PROCS... -- PROGRAM ARGUMENT...

A child cannot be moved after it has forked, and a parent that moved itself would move its other threads' children too.
"""

import os
import sys
from pathlib import Path

__all__ = ["main"]


def main(words: list[str]) -> None:
    cut = words.index("--")
    for file in words[:cut]:
        Path(file).write_text(str(os.getpid()))
    program = words[cut + 1 :]
    os.execvp(program[0], program)  # noqa: S606 - an argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
