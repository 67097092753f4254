"""A module's arguments, read by name and type; whatever was not read is outside the subset and says so."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support_tunnel.core.errors import UsageError
from support_tunnel.desired.filters import truth
from support_tunnel.desired.place import Place

__all__ = ["Arguments", "Folders"]


@dataclass(frozen=True, slots=True)
class Folders:
    """How a role's own files are read: both raise UsageError when there is no such file."""

    template: Callable[[str, Place], str]
    file: Callable[[str, Place], bytes]


@dataclass(slots=True)
class Arguments:
    """The rendered arguments of one task (or one turn of its loop)."""

    module: str
    values: Mapping[str, Any]
    places: Callable[[str], Place]
    folders: Folders
    changed_when: bool | None = None
    secret_names: frozenset[str] = frozenset()
    """Arguments that were rendered from a secret."""
    _read: set[str] = field(default_factory=set)

    def at(self, name: str) -> Place:
        return self.places(name)

    def wrong(self, name: str, words: str) -> UsageError:
        return self.at(name).wrong("role.argument", f"{self.module}: {words}")

    def raw(self, *names: str) -> Any:
        """Return the value under the first of these names (the others are aliases), None when none is given."""
        self._read.update(names)
        for name in names:
            if self.values.get(name) is not None:
                return self.values[name]
        return None

    def optional(self, *names: str) -> str | None:
        value = self.raw(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self.wrong(names[0], f"'{names[0]}' must be a string")
        if "\0" in str(value):
            raise self.wrong(names[0], f"'{names[0]}' holds a zero byte")
        return str(value)

    def text(self, *names: str) -> str:
        value = self.optional(*names)
        if value is None:
            raise self.wrong(names[0], f"'{names[0]}' is required")
        return value

    def public(self, *names: str) -> str | None:
        """A string that will stand in an argument list on the host, where every local user can read it."""
        self.keep_public(*names)
        return self.optional(*names)

    def keep_public(self, *names: str) -> None:
        for name in self.secret_names.intersection(names):
            raise self.wrong(
                name, f"'{name}' would show a secret to everybody on the host (ps); pass it by 'stdin' or in a file"
            )

    def name(self, pattern: str, *names: str) -> str:
        """A required name of a kind that the host restricts anyway; hostile ones end here."""
        value = self.text(*names)
        if not re.fullmatch(pattern, value):
            raise self.wrong(names[0], f"{value!r} is not a name that this module takes")
        return value

    def optional_name(self, pattern: str, *names: str) -> str | None:
        return self.name(pattern, *names) if self.raw(*names) is not None else None

    def flag(self, name: str, default: bool) -> bool:
        value = self.optional_flag(name)
        return default if value is None else value

    def optional_flag(self, name: str) -> bool | None:
        value = self.raw(name)
        if value is None:
            return None
        try:
            return truth(value)
        except Exception:  # noqa: BLE001 - Jinja's filter error, whose own words would quote the value
            raise self.wrong(name, f"'{name}' must be true or false") from None

    def number(self, name: str) -> int | None:
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,10}", str(value)):
            raise self.wrong(name, f"'{name}' must be a whole number")
        return int(value)

    def choice(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        value = self.raw(name)
        if value is None and default is not None:
            return default
        if value not in choices:
            raise self.at(name).unsupported(f"'{name}: {value}' of module '{self.module}'")
        return str(value)

    def texts(self, *names: str) -> tuple[str, ...] | None:
        value = self.raw(*names)
        if value is None:
            return None
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(names[0], f"'{names[0]}' must be a list of strings")
        return tuple(value)

    def path(self, *names: str) -> str:
        value = self.text(*names)
        if not value.startswith("/") or posixpath.normpath(value) != value or value == "/" or value.startswith("//"):
            raise self.wrong(
                names[0], f"'{names[0]}' must be an absolute path without '..', '//' or a slash at its end"
            )
        return value

    def mode(self, *, required: bool = True) -> str | None:
        """An octal mode. Numbers are refused: YAML reads 0644 as octal and 644 as decimal, and both look right."""
        value = self.raw("mode")
        if value is None and not required:
            return None
        if not isinstance(value, str) or not re.fullmatch(r"[0-7]{3,4}", value):
            raise self.wrong("mode", "'mode' is required as a quoted octal number, for example '0644'")
        return format(int(value, 8), "o")

    def refuse_unread(self) -> None:
        """Refuse every argument that the module's reader did not ask for."""
        for name in self.values:
            if name not in self._read:
                raise self.at(name).unsupported(f"argument '{name}' of module '{self.module}'")
