"""The flags of a verb as the fields of one dataclass: name, default and words stand once, also where several verbs share them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import Field, field, fields
from typing import Any, Final

__all__ = ["as_flags", "flag", "lists", "words"]

_WORDS: Final = "words"


def flag(default: object, said: str) -> Any:
    """A field of such a dataclass. A default of `()` makes it a flag that may be given several times."""
    return field(default=default, metadata={_WORDS: said})


def words(asked: type, without: tuple[str, ...] = ()) -> Mapping[str, str]:
    """By flag, as it is typed: what `--help` says of it."""
    return {one.name.replace("_", "-"): one.metadata[_WORDS] for one in _of(asked, without)}


def lists(asked: type, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names of those that may be given several times."""
    return tuple(one.name for one in _of(asked, without) if one.default == ())


def as_flags(asked: type, without: tuple[str, ...] = ()) -> Callable[[Callable[[Any, Any], None]], Callable[..., None]]:
    """Have a function of a context and of `asked` take the flags one by one, as Invoke reads them from a signature."""

    def wrap(function: Callable[[Any, Any], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def called(c: Any, **given: object) -> None:
            function(c, asked(**given))

        ours = [
            inspect.Parameter(
                one.name, inspect.Parameter.KEYWORD_ONLY, default=None if one.default == () else one.default
            )
            for one in _of(asked, without)
        ]
        context = inspect.Parameter("c", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        called.__signature__ = inspect.Signature([context, *ours])  # type: ignore[attr-defined]  # inspect.signature reads it
        return called

    return wrap


def _of(asked: type, without: tuple[str, ...]) -> list[Field[Any]]:
    return [one for one in fields(asked) if one.name not in without]
