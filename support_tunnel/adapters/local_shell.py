"""A root shell on this machine, for the device's own roles; and the one command line that feeds a script to `sh`.

Scripts come by stdin only: they may hold secrets, and argv is public. Must not interpret what a script prints.
"""

from __future__ import annotations

import math
import os

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Clock, Completed
from support_tunnel.core.secret import Secret

__all__ = ["LocalShell", "script_argv", "unless_timed_out"]

KILL_AFTER = 2
GRACE = 5.0
"""Seconds our own deadline lies behind that of timeout(1), so that the host ends the script, not only our end of it."""


class LocalShell:
    """`ports.Shell` on this machine. Raises HostError `host.timeout`, and `host.sudo` when sudo wants a password."""

    def __init__(self, *, clock: Clock | None = None, root: bool | None = None) -> None:
        self._clock = clock or SystemClock()
        self._root = os.geteuid() == 0 if root is None else root

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        started = self._clock.monotonic()
        argv = script_argv(root=self._root, timeout=timeout)
        ended = processes.run(argv, stdin=script.reveal().encode(), timeout=timeout + KILL_AFTER + GRACE, accept=None)
        return unless_timed_out(ended, seconds=self._clock.monotonic() - started, timeout=timeout, host="this machine")


def script_argv(*, root: bool, timeout: float) -> list[str]:
    """Build the command that reads a script on stdin as root and ends with all its children after `timeout` seconds.

    timeout(1) puts itself and `sh` into a process group of their own and signals that group, so what the script
    started ends with it, also when the connection is lost meanwhile.
    """
    limited = ["timeout", f"--kill-after={KILL_AFTER}", str(math.ceil(timeout)), "sh", "-s"]
    return limited if root else ["sudo", "-n", *limited]


def unless_timed_out(ended: Completed, *, seconds: float, timeout: float, host: str) -> Completed:
    """Return `ended`, or raise HostError when timeout(1) ended it (a script may itself exit with 124) or sudo refused."""
    if seconds >= timeout and ended.status in {124, 137, -9, -1}:
        raise HostError(
            "host.timeout",
            f"{host}: the script was ended after {timeout:g} seconds",
            next_step="Look at the host; what the script had done by then is still there.",
        )
    if ended.status == 1 and ended.stderr.startswith("sudo: ") and "password" in ended.stderr:
        raise HostError(
            "host.sudo",
            f"{host}: this account may not use sudo without a password",
            next_step="Run it as root, or allow sudo for this account.",
        )
    return ended
