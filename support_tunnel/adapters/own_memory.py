"""Keep what this process holds in memory from everybody but root: no core file of it, and nobody looks into it.

A code, a preshared key and private keys are in the memory of each of our tools. A core file would put them on a disk, and on
many machines any process of the same user may read the memory of another one (ptrace_scope 0). Must not be relied on against
root, who may read everything.
"""

from __future__ import annotations

import ctypes
import resource
import sys

__all__ = ["close_own_memory"]

_PR_SET_DUMPABLE = 4
"""From linux/prctl.h. A program that this one starts is as it would be without us: execve(2) sets it again."""


def close_own_memory() -> None:
    """Forbid core files for this process and what it starts, and on Linux attaching to it (prctl(2), ptrace(2)).

    Where the system refuses, this goes on: it is a second wall, and a machine without it is no reason to leave a session open.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Also what a crash handler of core_pattern gets by a pipe: it is started whatever RLIMIT_CORE says (core(5)).
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
