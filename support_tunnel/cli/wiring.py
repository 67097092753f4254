"""The hook through which tests see every port call: fault wiring wraps each port as it is built (01, test ladder)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["set_wrapper", "wrapped"]

P = TypeVar("P")

_wrapper: Callable[[str, object], object] | None = None


def set_wrapper(wrapper: Callable[[str, object], object] | None) -> None:
    """Have each port passed through `wrapper(name, port)` when it is built; None takes the hook out."""
    global _wrapper
    _wrapper = wrapper


def wrapped(name: str, port: P) -> P:
    """Give the port back, wrapped where a test asked for it."""
    return port if _wrapper is None else _wrapper(name, port)  # type: ignore[return-value]  # a wrapper keeps the shape
