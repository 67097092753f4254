"""What Invoke's own task lacks for ours: one-letter flags that stay, and a word that may stand alone or be left out.

Invoke gives letters away in the order of the flags, so a new flag moves the others, and one that accepts a risk gets one too. Here a
letter means the same in every verb, and only those of the table have one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence, Set
from inspect import cleandoc
from typing import Any, ClassVar, Final

from invoke.parser import Argument
from invoke.tasks import Task

__all__ = ["LETTERS", "OptionalCloudTask", "OptionalIdTask", "VerbTask"]

LETTERS: Final = {
    "check": "c",
    "diff": "d",
    "forks": "f",
    "inventory": "i",
    "json": "j",
    "limit": "l",
    "name": "n",
    "preshared_key": "p",
    "tunnel": "t",
    "tunnel_id": "t",
    "watch": "w",
}
"""`-p` and `-t` are the original's."""

LIKE_AN_ID = re.compile(r"[0-9a-fA-F-]*[0-9a-fA-F][0-9a-fA-F-]*")
"""Any length and dashes too: whether it is one is said by the task, in better words than Invoke's."""

A_CLOUD = re.compile("azure|digitalocean|ec2|gce|hetzner|linode|local|openstack|static|vultr")
"""Every row of the table, which is not read before a task needs it. `--cloud` takes any word."""


class VerbTask(Task):  # type: ignore[misc]  # invoke is untyped
    """Made with `auto_shortflags=False`. Its help says which words need no flag, as Invoke's does not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__doc__ = cleandoc(self.__doc__ or "")
        if words := " ".join(word.replace("_", "-").upper() for word in self.positional):
            self.__doc__ = f"{self.__doc__}\n\nAfter its name: {words}"

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        arguments: list[Any] = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            if letter := LETTERS.get(argument.name.replace("-", "_")):
                argument.names = (*argument.names, letter)
        return arguments


class OptionalWordTask(VerbTask):
    """The first argument of its function may be given without its flag: `inv stop`, and `inv stop ID` as the original had it.

    Invoke knows flags and required words, nothing between. So whether the word is required is decided by the command line: it is
    when something follows the task's name that only such a word can be. No task may have a name that looks like one
    (tests/cli/test_names.py).
    """

    word: ClassVar[re.Pattern[str]]
    called: ClassVar[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.__doc__ = f"{self.__doc__}\n\nAfter its name: {self.called}, or nothing"

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        arguments: list[Any] = super().get_arguments(ignore_unknown_help)
        valued = {_flag(name) for argument in arguments if argument.takes_value for name in argument.names}
        if gives(self.word, sys.argv, (self.name, *self.aliases), valued):
            arguments[0].positional, arguments[0].default = True, None
        return arguments


class OptionalIdTask(OptionalWordTask):
    word, called = LIKE_AN_ID, "an id"


class OptionalCloudTask(OptionalWordTask):
    word, called = A_CLOUD, "a cloud"


def gives(word: re.Pattern[str], argv: Sequence[str], names: Sequence[str], valued: Set[str] = frozenset()) -> bool:
    """Whether such a word follows one of these names of a task, with nothing but flags in between; `valued` ones take the next word."""
    wanted = {name.replace("_", "-") for name in names}
    behind, before = False, ""
    for one in argv[1:]:
        if behind and not one.startswith("-") and before not in valued:
            return word.fullmatch(one) is not None
        behind, before = behind or one in wanted, one
    return False


def _flag(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}"
