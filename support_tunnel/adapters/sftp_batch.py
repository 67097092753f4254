"""What the system's `sftp` is told, and what its failures mean. Text in, text out: nothing is started here.

A file name is one word of sftp and nothing more: no pattern, no second command. Must not repeat sftp's words to the reader:
part of them comes from the other side.
"""

from __future__ import annotations

import re

from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError

__all__ = ["failure_of_copy", "fetching", "listing", "putting", "removing"]

LONGEST = 1000
REASONS: tuple[tuple[re.Pattern[str], str, str, str], ...] = (
    (
        re.compile(r"subsystem request failed"),
        "files.closed",
        "the device copies no files in this session",
        "Ask the owner for a request with --files.",
    ),
    (
        re.compile(r"(?i)not found|no such file"),
        "file.missing",
        "there is no such file or folder",
        "Look with `fab command`.",
    ),
    (
        re.compile(r"(?i)permission denied"),
        "file.denied",
        "the session's account may not do that with this file",
        "Look at its rights with `fab command`.",
    ),
    (
        re.compile(r"(?i)not a regular file|non-regular|is a directory"),
        "file.kind",
        "only single regular files are copied",
        "Pack a folder into one file first.",
    ),
    (
        re.compile(r"(?i)no space|quota|write .*failure|couldn't write"),
        "file.space",
        "the file does not fit",
        "The session's folders are in memory and of limited size: /tmp holds the most.",
    ),
)


def listing(remote: str) -> str:
    """Fails when there is nothing of that name."""
    return f"ls -1 {_word(remote)}\n"


def putting(local: str, part: str, remote: str, *, replace: bool) -> str:
    """Whole or not at all: under another name first. `rename -l` is the one of the protocol, which never overwrites."""
    how = "" if replace else "-l "
    return f"put -p {_word(local)} {_word(part)}\nrename {how}{_word(part)} {_word(remote)}\n"


def removing(remote: str) -> str:
    return f"-rm {_word(remote)}\n"


def fetching(remote: str, local: str) -> str:
    """`local` is a file in a folder of our own: the other side cannot choose where anything is written."""
    return f"get -p {_word(remote)} {_word(local)}\n"


def failure_of_copy(said: str) -> SupportTunnelError:
    """The error for what sftp and ssh said when a copy failed."""
    for pattern, code, message, next_step in REASONS:
        if pattern.search(said):
            return HostError(code, message, next_step=next_step)
    return HostError(
        "file.copy", "the file could not be copied", next_step="Try the folder /tmp, or look with `fab command`."
    )


def _word(name: str) -> str:
    """One quoted word of sftp's command language, in which backslash also protects from patterns."""
    if not name or len(name) > LONGEST or not name.isprintable():
        raise UsageError("file.name", "a file is named by 1 to 1000 printable characters")
    if name.startswith("-"):
        name = f"./{name}"
    return '"' + re.sub(r'([\\"])', r"\\\1", name) + '"'
