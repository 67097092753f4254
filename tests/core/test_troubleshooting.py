"""docs/troubleshooting.md explains every code that the package can raise, once, and no other."""

from __future__ import annotations

import re
from collections import Counter

from support_tunnel.cli import paths
from tests.core.error_codes import NOT_CODES, PACKAGE, codes, undecided

PAGE = (paths.REPOSITORY / "docs" / "troubleshooting.md").read_text()
ROW = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def explained() -> Counter[str]:
    return Counter(code for row in ROW.finditer(PAGE) for code in re.findall(r"`([^`]+)`", row[1]))


def test_every_code_is_explained() -> None:
    missing = {code: codes()[code] for code in sorted(codes().keys() - explained().keys())}
    lines = [
        f"| `{code}` | what it means | what to do |   <- support_tunnel/{where}" for code, where in missing.items()
    ]
    assert not lines, "add to docs/troubleshooting.md, in the table where its reader looks:\n" + "\n".join(lines)


def test_nothing_else_is() -> None:
    stale = sorted(explained().keys() - codes().keys())
    assert not stale, f"no source raises these any more; take their lines out of docs/troubleshooting.md: {stale}"
    assert [code for code, times in explained().items() if times > 1] == [], "a code has one line"


def test_no_row_of_a_table_is_missed() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| Code", "|---"))]
    assert len(rows) == len(ROW.findall(PAGE)) > 200


def test_every_error_has_a_code_that_is_found() -> None:
    assert undecided() == [], "give the error a constant code, or teach tests.core.error_codes.py (BUILT)"


def test_what_is_no_code_is_there() -> None:
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert [word for word in NOT_CODES if f'"{word}"' not in source] == []
