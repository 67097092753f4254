"""What the bench is doing, on stderr; results go to stdout."""

from __future__ import annotations

import sys

__all__ = ["say"]


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
