"""`meta/argument_specs.yml`: a role's own words about its variables, in Ansible's schema, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from support_tunnel.core.errors import UsageError
from support_tunnel.desired.filters import FALSE_WORDS, TRUE_WORDS
from support_tunnel.desired.place import Place
from support_tunnel.desired.role import Role
from support_tunnel.desired.source import Block
from support_tunnel.desired.templating import Scope

__all__ = ["check_variables", "hidden_values"]

KNOWN = frozenset(
    {"type", "required", "default", "choices", "description", "elements", "options", "no_log", "version_added"}
)


def _is_number(kind: type[int] | type[float]) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        if isinstance(value, bool):
            return False
        try:
            kind(value)
        except (TypeError, ValueError):
            return False
        return not (kind is int and isinstance(value, float))

    return holds


TYPES: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: not isinstance(value, (dict, list)),
    "path": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool) or str(value).lower() in TRUE_WORDS | FALSE_WORDS,
    "int": _is_number(int),
    "float": _is_number(float),
    "list": lambda value: isinstance(value, list),
    "dict": lambda value: isinstance(value, dict),
    "raw": lambda _: True,
}


def check_variables(role: Role, scope: Scope) -> None:
    """Check every declared variable. Raises UsageError `role.variable`, which never quotes the value."""
    for name, option in _options(role.options):
        found = scope.variables.get(name)
        if found is None:
            if option.get("required"):
                raise _wrong(option.place, f"role '{role.name}' needs the variable '{name}'")
            continue
        _check(name, scope.value(found), option)


def hidden_values(role: Role, scope: Scope) -> Iterator[str]:
    """The texts of variables that the role marks `no_log`."""
    for name, option in _options(role.options):
        found = scope.variables.get(name)
        if option.get("no_log") and found is not None:
            value = scope.value(found)
            if isinstance(value, str) and value:
                yield value


def _wrong(place: Place, words: str) -> UsageError:
    """The place is where the variable is described; what is to be changed is the value that was given."""
    step = "Set it where it comes from (group_vars, host_vars or the program)."
    return UsageError("role.variable", f"{place}: {words}", next_step=step)


def _options(options: Block) -> Iterator[tuple[str, Block]]:
    for name, option in options.items():
        if not isinstance(option, Block):
            raise options.at(name).wrong("role.syntax", f"'{name}' must be described by a mapping")
        for key in option:
            if key not in KNOWN:
                raise option.at(key).unsupported(f"'{key}' in argument_specs")
        for key in ("type", "elements"):
            if option.get(key, "str") not in TYPES:
                raise option.at(key).unsupported(f"the type '{option[key]}' in argument_specs")
        yield name, option


def _check(name: str, value: Any, option: Block) -> None:
    kind = option.get("type", "str")
    if value is None:
        if option.get("required"):
            raise _wrong(option.place, f"'{name}' is required and is null")
        return
    if not TYPES[kind](value):
        raise _wrong(option.place, f"'{name}' must be of type {kind}")
    choices = option.get("choices")
    values = value if isinstance(value, list) else [value]
    if choices is not None and any(item not in choices for item in values):
        raise _wrong(option.place, f"'{name}' must be one of {', '.join(map(str, choices))}")
    if kind == "list" and "elements" in option:
        for number, item in enumerate(value):
            if not TYPES[option["elements"]](item):
                raise _wrong(option.place, f"'{name}[{number}]' must be of type {option['elements']}")
    inner = option.get("options")
    if isinstance(inner, Block):
        for item in values:
            if isinstance(item, dict):
                _check_inside(name, item, inner)


def _check_inside(name: str, value: dict[str, Any], options: Block) -> None:
    known = dict(_options(options))
    for key in value:
        if key not in known:
            raise _wrong(options.place, f"'{name}.{key}' is not a known option")
    for key, option in known.items():
        if key not in value:
            if option.get("required"):
                raise _wrong(option.place, f"'{name}.{key}' is required")
            continue
        _check(f"{name}.{key}", value[key], option)
