"""docs/tests-of-threats.md is true: every number of the design is there once, and every test it names exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tests-of-threats.md"

WANTED = {*map(str, range(1, 67)), *(f"P{number}" for number in range(1, 15))}
LATER = {"61"}
"""Of other issues: clouds without user-data, the recorder."""


def rows() -> list[tuple[str, list[str]]]:
    """Number and named tests of each row."""
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| P?\d", line)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in cells} <= {3}
    return [(number, re.findall(r"`(tests/[^`]+)`", named)) for number, _, named in cells]


@cache
def collected(path: str) -> frozenset[str]:
    """Names that pytest collects from a file: in this project a test is a function of its module."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_every_number_is_there_once() -> None:
    counted = Counter(number for number, _ in rows())
    assert [number for number, times in counted.items() if times > 1] == []
    assert counted.keys() == WANTED - LATER


def test_every_test_that_is_named_exists() -> None:
    missing = []
    for number, named in rows():
        assert named, f"{number} names no test"
        for test in named:
            path, _, name = test.partition("::")
            if not (ROOT / path).is_file() or name not in collected(path):
                missing.append(f"{number}: {test}")
    assert missing == []
