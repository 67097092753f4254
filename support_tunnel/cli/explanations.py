"""What docs/troubleshooting.md says of each error code, for a screen. The page is shipped with the package, so it is written once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from support_tunnel.cli import paths

__all__ = ["Explanation", "explanations"]

_ROW = re.compile(r"^\| (?P<codes>`[^|]+`) \| (?P<meaning>[^|]+) \| (?P<step>[^|]+) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\((?!http)([^)]+)\)")


class Explanation(NamedTuple):
    meaning: str
    step: str
    """What to do; a sentence's beginning is in small letters, as in the page's table."""


def explanations() -> Mapping[str, Explanation]:
    """By code."""
    found: dict[str, Explanation] = {}
    for row in _ROW.finditer(paths.TROUBLESHOOTING.read_text(encoding="utf-8")):
        said = Explanation(*(_LINK.sub(r"docs/\2", row[part]) for part in ("meaning", "step")))
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", row["codes"]), said)
    return found
