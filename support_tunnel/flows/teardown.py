"""Every step of an ending runs, whatever became of the one before it; what failed is raised when all have run (2.13)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Teardown"]


class Teardown:
    """Run steps with `with teardown.step():` and finish with `raise_first()`."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    @contextmanager
    def step(self) -> Iterator[None]:
        """Keep a failure for later. Ctrl-C passes through: the person wants out, and clean-up finds the rest by name."""
        try:
            yield
        except Exception as failure:  # noqa: BLE001 - nothing is swallowed: raise_first raises it again
            self.failures.append(failure)

    def raise_first(self) -> None:
        if self.failures:
            raise self.failures[0]
