"""Run the owner's scripts as root, which only root may have written: the file, and every folder above it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.hooks import HookCommand, HookContext, Moment
from support_tunnel.core.ports import HookRun

__all__ = ["HookScripts"]

SECONDS: Mapping[Moment, int] = {"pre-up": 30, "post-up": 30, "pre-down": 10, "post-down": 10}
"""Those of the ending are short: systemd gives the keeper's last step 60 seconds, and putting the device back comes after."""

LAST_WORDS = 400
_TIMED_OUT = {124, 137, -9}
"""timeout(1): ended by SIGTERM; or by the SIGKILL after it, which ends timeout(1) itself with the group."""


class HookScripts:
    """`ports.Hooks`; `commands` come from the settings."""

    def __init__(self, commands: Mapping[Moment, HookCommand], *, seconds: Mapping[Moment, int] = SECONDS) -> None:
        self._commands = commands
        self._seconds = seconds

    def check(self) -> None:
        """Raises UsageError `hook.*` for the first script that may not be run: before a session, not at its end."""
        for command in self._commands.values():
            _refuse_untrusted(Path(command.words[0]))

    def run(self, moment: Moment, context: HookContext) -> HookRun | None:
        command = self._commands.get(moment)
        if command is None:
            return None
        _refuse_untrusted(Path(command.words[0]))
        seconds = self._seconds[moment]
        # timeout(1) ends the script's whole process group, not only its first process.
        argv = ["timeout", "-k", "1", str(seconds), *command.argv(context)]
        try:
            ended = processes.run(argv, timeout=seconds + 5, accept=None, env=context.environment())
        except HostError as error:
            if error.code != "process.timeout":
                raise
            # It ended, and something it left behind in another process group still holds its output.
            raise _too_long(moment, seconds) from None
        if ended.status in _TIMED_OUT:
            raise _too_long(moment, seconds)
        return HookRun(ended.status, (ended.stdout + ended.stderr).strip()[-LAST_WORDS:])


def _too_long(moment: Moment, seconds: int) -> HostError:
    return HostError("hook.timeout", f"the {moment} script did not end within {seconds} seconds")


def _refuse_untrusted(program: Path) -> None:
    """Whoever can change the file, or put another in its place, would be root here."""
    real = program.resolve()
    if real != program:
        # Each link on the way could be moved by whoever owns the folder it lies in.
        raise UsageError("hook.link", f"{program} is reached through a symbolic link", next_step=f"Write {real}.")
    try:
        kind = program.stat().st_mode
        for path in (program, *program.parents):
            found = path.stat()
            if found.st_uid != 0:
                raise UsageError(
                    "hook.owner", f"{path} does not belong to root", next_step=f"chown root {shlex.quote(str(path))}"
                )
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise UsageError(
                    "hook.mode", f"others can change {path}", next_step=f"chmod go-w {shlex.quote(str(path))}"
                )
    except OSError as error:
        raise UsageError(
            "hook.missing", f"{program}: {error.strerror}", next_step="Put it there, or take it out of the settings."
        ) from None
    if not stat.S_ISREG(kind) or not os.access(program, os.X_OK):
        raise UsageError(
            "hook.program",
            f"{program} is not an executable file",
            next_step=f"chmod 755 {shlex.quote(str(program))}",
        )
