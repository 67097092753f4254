"""`when`: what can be decided now is decided now; what depends on a change made on the host becomes shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import nodes

from support_tunnel.desired.place import Place
from support_tunnel.desired.shell import FALSE, TRUE, Code, all_of, any_of, call, negate
from support_tunnel.desired.templating import Scope

__all__ = ["changed", "condition"]


def changed(steps: Sequence[int]) -> Code:
    """Shell that succeeds when one of these steps changed something in this run."""
    return call("st_changed", *steps) if steps else FALSE


def condition(clauses: Sequence[tuple[Any, Place]], scope: Scope, registered: Mapping[str, Sequence[int]]) -> Code:
    """Compile the clauses of `when`, all of which must hold; TRUE and FALSE are decided already."""
    code = TRUE
    for clause, place in clauses:
        if isinstance(clause, bool):
            part = TRUE if clause else FALSE
        elif isinstance(clause, str):
            part = _compile(scope.parse(clause, place), scope, registered, place)
        else:
            raise place.wrong("role.syntax", "'when' takes an expression or a list of them")
        if part == FALSE:
            return FALSE
        code = all_of(code, part)
    return code


def _compile(node: nodes.Expr, scope: Scope, registered: Mapping[str, Sequence[int]], place: Place) -> Code:
    if not _names(node) & registered.keys():
        result = scope.evaluate(node, place)
        if not isinstance(result, bool):
            # ansible-core 2.19 refuses these too: a string such as "False" would count as true.
            raise place.wrong(
                "role.syntax", "this condition is not true or false; say for example 'x | bool' or 'x is defined'"
            )
        return TRUE if result else FALSE
    match node:
        case nodes.Not(node=inner):
            part = _compile(inner, scope, registered, place)
            return {TRUE: FALSE, FALSE: TRUE}.get(part, negate(part))
        case nodes.And(left=left, right=right):
            part = _compile(left, scope, registered, place)
            return FALSE if part == FALSE else all_of(part, _compile(right, scope, registered, place))
        case nodes.Or(left=left, right=right):
            part = _compile(left, scope, registered, place)
            return TRUE if part == TRUE else any_of(part, _compile(right, scope, registered, place))
        case (
            nodes.Test(node=nodes.Name(name=name), name="changed")
            | nodes.Getattr(node=nodes.Name(name=name), attr="changed")
        ):
            return changed(registered[name])
    raise place.unsupported("using a registered result for anything but 'is changed'")


def _names(node: nodes.Expr) -> set[str]:
    names = {found.name for found in node.find_all(nodes.Name)}
    return names | ({node.name} if isinstance(node, nodes.Name) else set())
