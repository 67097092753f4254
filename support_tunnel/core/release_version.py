"""Which of two releases is older, by the rules of PEP 440; a device has no library for that.

Must not guess: a version that is not in PEP 440's normal form, or has an epoch, is refused.
"""

from __future__ import annotations

import math
import re

from support_tunnel.core.errors import UsageError

__all__ = ["is_older"]

_VERSION = re.compile(
    r"(?P<numbers>\d+(?:\.\d+)*)(?:(?P<kind>a|b|rc)(?P<pre>\d+))?(?:\.post(?P<post>\d+))?(?:\.dev(?P<dev>\d+))?"
    r"(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?",
    re.ASCII,
)


def is_older(version: str, than: str) -> bool:
    """Builds of one version (what follows a `+`) count as equal. Raises UsageError `upgrade.version`."""
    return _order(version) < _order(than)


def _order(version: str) -> tuple[tuple[int, ...], str, float, float, float]:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise UsageError(
            "upgrade.version",
            f"{version} is not a version that can be compared with another",
            next_step="Take the file as the vendor named it; if that is its name, ask the vendor for another release.",
        )
    numbers = [int(part) for part in found["numbers"].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    post = float(found["post"] or -1)
    dev = float(found["dev"] or math.inf)
    # "" sorts before the kinds, "~" behind them: 1.dev1, 1a1, 1rc1, 1, 1.post1.
    kind = found["kind"] or ("~" if found["post"] or not found["dev"] else "")
    return tuple(numbers), kind, float(found["pre"] or 0), post, dev
