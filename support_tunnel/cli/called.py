"""How this program is called here: `inv` and `fab` in a checkout, commands of their own names where it was installed.

Messages are written with the names of the checkout, wherever they arise; an installed program puts its own names in place of them
on their way to a person.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final, TextIO, cast

from support_tunnel.cli import paths

__all__ = ["ADMIN", "API", "DEVICE", "as_called", "speak_as_called"]

DEVICE: Final = "support-tunnel"
ADMIN: Final = "support-tunnel-admin"
API: Final = "support-tunnel-api"
_INSTALLED: Final = {"inv": DEVICE, "fab": ADMIN}


def as_called(text: str, *, checkout: bool = paths.CHECKOUT) -> str:
    """The same text with commands that can be typed here."""
    if checkout:
        return text
    text = re.sub(r"\bfab api\.(?!deploy)", f"{API} ", text)
    return re.sub(r"\b(inv|fab)(?= [a-z])", lambda found: _INSTALLED[found[1]], text)


def speak_as_called() -> None:
    """From here on, whatever this process writes to stderr names what can be typed. Screens, progress and errors all go there."""
    if not paths.CHECKOUT:
        sys.stderr = cast(TextIO, _Worded(sys.stderr))


class _Worded:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(as_called(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
