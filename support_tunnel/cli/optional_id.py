"""A task that takes a tunnel's id as a word of its own or none at all: `inv stop`, and `inv stop ID` as the original had it.

Invoke knows flags and required words, nothing between. So whether the word is required is decided by the command line: it is when
something follows the task's name that only an id can be. No task may have a name that looks like one (tests/cli/test_names.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from invoke.parser import Argument
from invoke.tasks import Task

__all__ = ["OptionalIdTask"]

LIKE_AN_ID = re.compile(r"[0-9a-fA-F-]*[0-9a-fA-F][0-9a-fA-F-]*")
"""Any length and dashes too: whether it is one is said by the task, in better words than Invoke's."""


class OptionalIdTask(Task):  # type: ignore[misc]  # invoke is untyped
    """The first argument of its function may be given without its flag."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        arguments: list[Any] = super().get_arguments(ignore_unknown_help)
        if gives_id(sys.argv, (self.name, *self.aliases)):
            arguments[0].positional, arguments[0].default = True, None
        return arguments


def gives_id(argv: Sequence[str], names: Sequence[str]) -> bool:
    """Whether an id follows one of these names of a task, with nothing but flags in between."""
    wanted = {name.replace("_", "-") for name in names}
    behind = False
    for word in argv[1:]:
        if behind and not word.startswith("-"):
            return LIKE_AN_ID.fullmatch(word) is not None
        behind = behind or word in wanted
    return False
