"""Jinja2 as Ansible uses it: strict about undefined names, one expression keeps its type, defaults are rendered when used.

Text from a role is a template; a value handed in by the caller is data and is never rendered, whatever braces it holds.
Must not read anything but template files below the folders it is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.desired.filters import FILTERS, FORBIDDEN
from support_tunnel.desired.masking import revealed, secrets_in
from support_tunnel.desired.place import Place

__all__ = ["OMIT", "Given", "Missing", "Scope", "Template", "Variable", "environment", "templates_in"]


class _Omit:
    def __repr__(self) -> str:
        return "omit"


OMIT = _Omit()
"""The value of `omit`: an argument that is this was not given."""

DEEPEST = 40
"""Variables may refer to variables; a chain longer than this is a circle."""


@dataclass(frozen=True, slots=True)
class Template:
    """A value written in a role: strings inside it are templates."""

    value: Any
    place: Place


@dataclass(frozen=True, slots=True)
class Given:
    """A value handed in by the caller: data."""

    value: Any


@dataclass(frozen=True, slots=True)
class Missing:
    """A variable that cannot be had yet: whoever names it gets this error."""

    error: UsageError


Variable = Template | Given | Missing


def templates_in(value: Mapping[str, Any], place: Place) -> dict[str, Variable]:
    """Wrap variables written in a role."""
    at = getattr(value, "at", lambda _: place)
    return {name: Template(item, at(name)) for name, item in value.items()}


class _Context(Context):
    """Renders a role's variable at the moment a template names it."""

    def resolve_or_missing(self, key: str) -> Any:
        found = super().resolve_or_missing(key)
        if isinstance(found, (Template, Given, Missing)):
            return self.parent["__scope__"].value(found)
        return found


def _lists(value: Any) -> Any:
    """Sequences of every kind become lists, as Ansible prints and passes them."""
    if isinstance(value, (tuple, range, list, Iterator, KeysView, ValuesView, ItemsView)):
        return [_lists(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _lists(item) for key, item in value.items()}
    return value


def _finalize(value: Any) -> Any:
    return "" if value is None else _lists(value)


LAZY = ("batch", "items", "map", "reject", "rejectattr", "reverse", "select", "selectattr", "slice")
"""Filters of Jinja's that yield; Ansible hands on lists."""


def _listed(lazy: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(lazy)
    def filled(*args: Any, **kwargs: Any) -> Any:
        made = lazy(*args, **kwargs)
        return made if isinstance(made, str) else _lists(made)

    return filled


class _Environment(ImmutableSandboxedEnvironment):
    context_class = _Context


def environment(folders: Sequence[Path]) -> jinja2.Environment:
    """Make the environment of one role; `folders` is where its templates are looked up, in order."""
    made = _Environment(
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(folders),
        trim_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
        autoescape=False,  # configuration files, not HTML
    )
    for name in FORBIDDEN:
        made.filters.pop(name, None)
    for name in LAZY:
        made.filters[name] = _listed(made.filters[name])
    made.filters.update(FILTERS)
    made.globals.pop("lipsum", None)
    made.globals["omit"] = OMIT
    return made


@dataclass(slots=True)
class Scope:
    """The variables one task sees. `touched` tells whether anything rendered since the last `forget` held a secret."""

    env: jinja2.Environment
    variables: Mapping[str, Variable]
    hidden: frozenset[str] = frozenset()
    """Texts that count as secret though nobody wrapped them: values of options marked no_log."""
    depth: int = 0
    touched: bool = field(default=False)

    def with_variables(self, more: Mapping[str, Variable]) -> Scope:
        return replace(self, variables={**self.variables, **more}, touched=False)

    def value(self, found: Variable) -> Any:
        """Resolve one variable."""
        if isinstance(found, Missing):
            raise found.error
        if isinstance(found, Given):
            return self._data(found.value)
        if self.depth > DEEPEST:
            raise found.place.wrong("role.variable", "this variable refers to itself")
        self.depth += 1
        try:
            value = self.render(found.value, found.place)
            if isinstance(value, str) and value in self.hidden:
                self.touched = True
            return value
        finally:
            self.depth -= 1

    def render(self, value: Any, place: Place) -> Any:
        """Render every string inside `value`. Raises UsageError `role.undefined` or `role.template`."""
        if isinstance(value, str):
            return self._text(value, place)
        if isinstance(value, Mapping):
            at = getattr(value, "at", lambda _: place)
            pairs = ((self.render(key, place), self.render(item, at(key))) for key, item in value.items())
            return {key: item for key, item in pairs if item is not OMIT}
        if isinstance(value, list):
            return [item for item in (self.render(item, place) for item in value) if item is not OMIT]
        return value

    def evaluate(self, expression: nodes.Expr, place: Place) -> Any:
        """Compute one expression as `when` and a lone `{{ }}` do."""
        program = nodes.Template([nodes.Assign(nodes.Name("result", "store"), expression)], lineno=1)
        with _words(place):
            template = self.env.from_string(cast("Any", program.set_environment(self.env)))
            module = template.make_module(self._names())
            result = module.result  # type: ignore[attr-defined]  # the name assigned just above
            if isinstance(result, jinja2.Undefined):
                str(result)  # StrictUndefined speaks here
            return _lists(result)

    def parse(self, expression: str, place: Place) -> nodes.Expr:
        """Read a bare expression, as in `when`."""
        lone = self._lone("{{ " + expression + " }}", place)
        if lone is None:
            raise place.wrong("role.template", f"'{expression}' is not one expression")
        return lone

    def render_file(self, name: str, place: Place) -> str:
        """Render a template file found in the environment's folders."""
        with _words(place):
            source, _, _ = self.env.loader.get_source(self.env, name)  # type: ignore[union-attr]  # environment() sets it
            if source.startswith("#jinja2:"):
                raise place.unsupported(f"the '#jinja2:' header of {name}")
            return self.env.get_template(name).render(self._names())

    def _names(self) -> dict[str, Any]:
        return {**self.variables, "__scope__": self}

    def _lone(self, text: str, place: Place) -> nodes.Expr | None:
        with _words(place):
            body = self.env.parse(text).body
        if len(body) == 1 and isinstance(body[0], nodes.Output) and len(body[0].nodes) == 1:
            only = body[0].nodes[0]
            return None if isinstance(only, nodes.TemplateData) else only
        return None

    def _text(self, text: str, place: Place) -> Any:
        if "{" not in text:
            return text
        lone = self._lone(text, place)
        if lone is not None:
            return self.evaluate(lone, place)
        with _words(place):
            return self.env.from_string(text).render(self._names())

    def _data(self, value: Any) -> Any:
        if isinstance(value, Secret):
            self.touched = True
            return revealed(value)
        if isinstance(value, Mapping):
            return {key: self._data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._data(item) for item in value]
        if isinstance(value, str) and value in self.hidden:
            self.touched = True
        return value

    def take_touched(self) -> bool:
        """Tell whether a secret was used since the last call."""
        was, self.touched = self.touched, False
        return was

    def secrets(self) -> Iterator[str]:
        for found in self.variables.values():
            if not isinstance(found, Missing):
                yield from secrets_in(found.value)
        yield from self.hidden


class _words:
    """Turn Jinja's errors into ours, at a place. Jinja's text may quote the template, never a variable's value."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        place = self.place
        if isinstance(error, UsageError) or error is None:
            return
        if isinstance(error, jinja2.UndefinedError):
            raise place.wrong("role.undefined", str(error.message)) from None
        if isinstance(error, jinja2.TemplateNotFound):
            raise place.wrong("role.template", f"there is no template '{error.name}'") from None
        if isinstance(error, jinja2.TemplateSyntaxError):
            if missing := re.match(r"No (filter|test) named '(.*)'\.", error.message or ""):
                raise place.unsupported(f"the {missing[1]} '{missing[2]}'") from None
            where = f" ({error.name}, line {error.lineno})" if error.name else ""
            raise place.wrong("role.template", f"{error.message}{where}") from None
        if isinstance(error, (jinja2.TemplateError, SecurityError)):
            raise place.wrong("role.template", f"{type(error).__name__} in a template") from None
        if isinstance(error, (TypeError, ValueError, ArithmeticError, LookupError)):
            raise place.wrong("role.template", f"this template cannot be computed ({type(error).__name__})") from None
