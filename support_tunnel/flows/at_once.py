"""How a flow says that things may be done at the same time; whether they are is its caller's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

__all__ = ["AtOnce", "one_after_another"]

T = TypeVar("T")
R = TypeVar("R")


class AtOnce(Protocol):
    """Runs `work` on all items and yields what it returns, in any order, as it comes."""

    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]: ...


def one_after_another(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    return map(work, items)
