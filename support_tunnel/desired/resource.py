"""What a module must be able to say: how to see that it holds, how to make it hold, how to remember what was there.

A resource is a frozen value and never runs anything. Its three answers are shell; `body` is bytes that the shell text can
print with `st_body`, so that file contents and passwords appear in no argument list.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from support_tunnel.desired.shell import Code

__all__ = ["BODY", "Resource", "Statement", "key"]

BODY = Code("st_body")


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing on a host, as it should be."""

    def check(self) -> Code:
        """Succeed when the host is already so. Changes nothing."""
        raise NotImplementedError

    def fix(self) -> Code:
        """Make it so. Runs only after `check` failed and `record` succeeded."""
        raise NotImplementedError

    def undoable(self) -> bool:
        """False: a role that uses it is refused when an undo journal is asked for."""
        return True

    def record(self) -> Code:
        """Write to the undo journal what `fix` is going to change."""
        raise NotImplementedError(f"{type(self).__name__} is not undoable")

    def body(self) -> bytes | None:
        """Bytes for `st_body`."""
        return None

    def show(self) -> Code | None:
        """Print what is there now, for `diff`; None when there is nothing to compare with `body`."""
        return None

    def preview(self) -> Code | None:
        """Print what will be there, for `diff`, where only the host can tell; None when it is `body`."""
        return None

    def library(self) -> str | None:
        """The file of shell functions that its answers call beside apply.sh."""
        return None

    def reports(self) -> Literal["changed", "ok"]:
        """What a successful fix counts as (`changed_when`)."""
        return "changed"

    def in_check_mode(self) -> Literal["changed", "ok", "skipped"]:
        """What check mode says when `check` failed."""
        return "changed"


def key(kind: str, name: str) -> str:
    """Name a thing for a file name: in the journal, or as a handler that is owed."""
    return hashlib.sha256(f"{kind}\0{name}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that concerns the plan alone and sends nothing to the host."""

    detail: str
    skipped: bool = False
