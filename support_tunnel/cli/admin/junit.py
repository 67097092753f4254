"""A rehearsal's steps as JUnit XML, which every CI system shows: one test case a step, the failure at the step it broke."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from xml.sax.saxutils import escape, quoteattr

from support_tunnel.core.errors import SupportTunnelError, UsageError

__all__ = ["junit", "write_junit"]


class _Step(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def seconds(self) -> float: ...


def junit(steps: Sequence[_Step], failed: SupportTunnelError | None) -> str:
    """`failed` belongs to the last step; without steps it stands alone. Only XML's own characters are kept."""
    rows = [(step.name, step.seconds) for step in steps]
    if failed is not None and not rows:
        rows = [("before the first step", 0.0)]
    cases = []
    for number, (name, seconds) in enumerate(rows, start=1):
        case = f'  <testcase classname="fab.rehearse" name={_attribute(f"{number:02} {name}")} time="{seconds:.3f}"'
        if failed is not None and number == len(rows):
            said = escape(_kept(f"{failed.message}. {failed.next_step}"))
            cases.append(f"{case}>\n    <failure type={_attribute(failed.code)}>{said}</failure>\n  </testcase>")
        else:
            cases.append(f"{case}/>")
    total = sum(seconds for _, seconds in rows)
    head = f'tests="{len(rows)}" failures="{int(failed is not None)}" errors="0" time="{total:.3f}"'
    body = "\n".join(cases)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuite name="fab rehearse" {head}>\n{body}\n</testsuite>\n'


def write_junit(file: str, steps: Sequence[_Step], failed: SupportTunnelError | None) -> None:
    """Raises UsageError `junit.file`."""
    try:
        Path(file).write_text(junit(steps, failed), encoding="utf-8")
    except OSError as error:
        raise UsageError("junit.file", f"{file} cannot be written: {error.strerror}") from None


def _attribute(text: str) -> str:
    return quoteattr(_kept(text))


def _kept(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
