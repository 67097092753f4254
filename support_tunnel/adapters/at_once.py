"""Work on several things at a time, in threads: hosts are waited for, not computed. Decides nothing about the work."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

__all__ = ["at_once"]

T = TypeVar("T")
R = TypeVar("R")


def at_once(work: Callable[[T], R], items: Sequence[T], *, forks: int) -> Generator[R]:
    """Yield results as they come, `forks` at a time.

    When the reader stops or is interrupted, nothing more is begun and what was begun is waited for: a host is not left
    half done because somebody pressed Ctrl-C.
    """
    with ThreadPoolExecutor(max_workers=forks) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
