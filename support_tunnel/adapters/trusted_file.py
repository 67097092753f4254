"""Read a file that decides who may come in: only when root, or this user, owns it and nobody else can change it."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from support_tunnel.core.errors import UsageError

__all__ = ["read_trusted"]


def read_trusted(path: Path, *, secret: bool = False) -> str:
    """Return the text; a `secret` one nobody else may even read. Raises UsageError `file.*` with the command that repairs it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError("file.read", f"{path}: {error.strerror}") from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise UsageError("file.kind", f"{path} is not a plain file")
    with os.fdopen(descriptor, "rb") as file:
        quoted = shlex.quote(str(path))
        if found.st_uid not in (0, os.geteuid()):
            raise UsageError(
                "file.owner", f"{path} belongs to somebody else", next_step=f"Check it, then: chown root {quoted}"
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UsageError("file.mode", f"others can change {path}", next_step=f"Check it, then: chmod go-w {quoted}")
        if secret and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(
                "file.mode", f"others can read {path}", next_step=f"Change what it holds, then: chmod 600 {quoted}"
            )
        try:
            return file.read().decode()
        except UnicodeDecodeError:
            raise UsageError("file.content", f"{path} is not UTF-8 text") from None
