"""Result on stdout, progress on stderr; JSON is one line a result."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

__all__ = ["NOBODY_READS", "emit", "line", "shows_pictures", "stdout_is_journal", "table", "turn_to_nobody"]

NOBODY_READS: Final = 141
"""Exit status when whoever read what is said has left, as a shell has it for SIGPIPE: `fab list | head -n 1`."""


def line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def emit(value: object) -> None:
    """One line of JSON; times as ISO 8601, UTC."""
    line(json.dumps(value, default=_plain, separators=(", ", ": ")))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    raise TypeError(f"{type(value).__name__} has no place in a JSON result")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; cells are stripped of anything a terminal would obey."""
    clean = [list(head), *([_printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in clean) for column in range(len(head))]
    for row in clean:
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def shows_pictures(environ: Mapping[str, str]) -> bool:
    """Whether stdout is a terminal that knows UTF-8 and colours."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return sys.stdout.isatty() and encoding == "utf8" and environ.get("TERM", "dumb") != "dumb"


def turn_to_nobody() -> bool:
    """Whether nobody reads stdout or stderr any more. From here on what is still to be written there goes nowhere, in silence."""
    look = select.poll()
    for descriptor in (1, 2):
        look.register(descriptor, select.POLLOUT)
    left = [descriptor for descriptor, seen in look.poll(0) if seen & select.POLLERR]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in left:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return bool(left)


def stdout_is_journal(environ: Mapping[str, str]) -> bool:
    """Whether stdout is systemd's journal, where a support code must never land (systemd.exec(5), JOURNAL_STREAM)."""
    stream = environ.get("JOURNAL_STREAM", "")
    try:
        here = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{here.st_dev}:{here.st_ino}"
