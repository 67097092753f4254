"""Read a secret from where a setting or a flag says it is: `-`, `file:PATH`, `env:NAME`, `cmd:PROGRAM ...`."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import MutableMapping
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret

__all__ = ["is_source", "read_secret"]

_KINDS = ("file:", "env:", "cmd:")


def is_source(text: str) -> bool:
    """Whether `text` says where a secret is, rather than being one."""
    return text == "-" or text.startswith(_KINDS)


def read_secret(source: str, what: str, environ: MutableMapping[str, str] | None = None) -> Secret[str]:
    """Read it; a variable of the environment is taken out of it, so that no child inherits it.

    Raises UsageError `secret.source` naming `what` and the source, never the value.
    """
    environ = os.environ if environ is None else environ
    if source == "-":
        return Secret(sys.stdin.readline().strip())
    kind, _, rest = source.partition(":")
    if kind == "file":
        try:
            return Secret(Path(rest).expanduser().read_text().strip())
        except OSError as error:
            raise UsageError("secret.source", f"{what}: {rest}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError("secret.source", f"{what}: {rest}: this is not a text file") from None
    if kind == "env":
        if rest not in environ:
            raise UsageError("secret.source", f"{what}: the variable {rest} is not set")
        return Secret(environ.pop(rest).strip())
    if kind == "cmd":
        return Secret(processes.run(shlex.split(rest), timeout=60, env=processes.agent()).stdout.strip())
    raise UsageError(
        "secret.source", f"{what} is given as -, file:PATH, env:NAME or cmd:PROGRAM, never as the value itself"
    )
