"""Every stable code that the package can raise, read off its source: what docs/troubleshooting.md has to explain.

A code is the first argument of one of our error types. Where it passes through a variable on its way there (a table of reasons, a
method that makes the error), its constant is found by its family: the word before the dot.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator

from support_tunnel.adapters import cloud_failure
from support_tunnel.cli import paths
from support_tunnel.core import errors, own_certificates

__all__ = ["codes", "undecided"]

PACKAGE = paths.REPOSITORY / "support_tunnel"
TYPES = frozenset(errors.__all__)
CODE = re.compile(r"[a-z]+\.[a-z0-9_-]+")
NOT_CODES = frozenset({"cloud.json", "node.json", "ssh.service"})
"""Constants of a family that name something else."""
BUILT = {
    "core/own_certificates.py": {f"certificate.{what}" for what in own_certificates._SAYS},
    "adapters/cloud_failure.py": {f"cloud.{kind}" for kind in cloud_failure._WORDS},
    "core/st1/signer.py": {"signer.*"},
}
"""Codes put together from two words, by the module that does it; `*` is filled in from calls of its `_refused`."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if (name := path.relative_to(PACKAGE).as_posix()).split("/")[0] != "testing":
            yield name, ast.parse(path.read_text())


def first_words(tree: ast.AST) -> Iterator[ast.expr]:
    """The first argument of each error that is made."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in TYPES:
                yield node.args[0]


def text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@functools.cache
def codes() -> dict[str, str]:
    """By code: a module that knows it."""
    trees = dict(sources())
    found = {text(word): name for name, tree in trees.items() for word in first_words(tree) if text(word)}
    families = {code.partition(".")[0] for code in found} | {"signer", "certificate"}
    for name, tree in trees.items():
        for node in ast.walk(tree):
            said = text(node)
            if CODE.fullmatch(said) and said.partition(".")[0] in families and said not in NOT_CODES:
                found.setdefault(said, name)
        for built in BUILT.get(name, set()) - {"signer.*"}:
            found.setdefault(built, name)
    refused = [node for node in ast.walk(trees["core/st1/signer.py"]) if isinstance(node, ast.Call)]
    for call in refused:
        if isinstance(call.func, ast.Name) and call.func.id == "_refused":
            found.setdefault(f"signer.{text(call.args[0])}", "core/st1/signer.py")
    return found


def undecided() -> list[str]:
    """Errors whose code is put together in a way that `codes` does not know."""
    return [
        f"{name}:{word.lineno}"
        for name, tree in sources()
        for word in first_words(tree)
        if isinstance(word, ast.JoinedStr) and name not in BUILT
    ]
