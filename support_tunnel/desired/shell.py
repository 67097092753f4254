"""Shell text as values, and the one place that quotes. Nothing else in the package joins strings into shell."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "FALSE",
    "TRUE",
    "Code",
    "all_of",
    "any_of",
    "body",
    "branch",
    "call",
    "comment",
    "function",
    "lines",
    "negate",
    "pipe",
]


@dataclass(frozen=True, slots=True)
class Code:
    """Shell text that is safe to paste: made by the functions below, or a literal in our own source."""

    text: str


TRUE = Code(":")
FALSE = Code("false")


def call(*words: str | int | Code) -> Code:
    """One simple command; each string is one word whatever it holds, Code is pasted as it is."""
    return Code(" ".join(word.text if isinstance(word, Code) else shlex.quote(str(word)) for word in words))


def all_of(*codes: Code) -> Code:
    """Run in order and stop at the first that fails."""
    return _join(" &&\n", [code for code in codes if code != TRUE], TRUE)


def any_of(*codes: Code) -> Code:
    """Run in order and stop at the first that succeeds."""
    return _join(" ||\n", [code for code in codes if code != FALSE], FALSE)


def _join(between: str, codes: list[Code], empty: Code) -> Code:
    if len(codes) < 2:
        return codes[0] if codes else empty
    return Code("{ " + between.join(code.text for code in codes) + "; }")


def negate(code: Code) -> Code:
    return Code(f"! {code.text}")


def pipe(source: Code, sink: Code) -> Code:
    return Code(f"{source.text} | {sink.text}")


def branch(condition: Code, then: Code, otherwise: Code = TRUE) -> Code:
    if condition == TRUE:
        return then
    return Code(f"if {condition.text}; then\n{then.text}\nelse\n{otherwise.text}\nfi")


def function(name: str, code: Code) -> Code:
    return Code(f"{name}() {{\n{code.text}\n}}")


def body(data: bytes) -> Code:
    """Print these bytes exactly. printf is a builtin, so neither a length limit nor `ps` sees them."""
    return pipe(call("printf", "%s", base64.b64encode(data).decode()), call("base64", "-d"))


def comment(text: str) -> Code:
    """A note for the reader of a script; a newline in it must not end the comment."""
    return Code("# " + text.encode("unicode_escape").decode())


def lines(codes: Iterable[Code]) -> str:
    return "\n".join(code.text for code in codes) + "\n"
