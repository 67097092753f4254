"""Every step of an ending runs, whatever became of the one before it; what failed is raised when all have run (2.13)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from support_tunnel.core.report import Step

__all__ = ["Teardown"]


class Teardown:
    """Run steps with `with teardown.step():` and finish with `raise_first()`. `steps` are those that were given a name."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.steps: list[Step] = []

    @contextmanager
    def step(self, what: str = "") -> Iterator[list[str]]:
        """Keep a failure for later. Ctrl-C passes through: the person wants out, and clean-up finds the rest by name.

        What is appended to the list is said beside the name of the step.
        """
        words: list[str] = []
        try:
            yield words
        except Exception as failure:  # noqa: BLE001 - nothing is swallowed: raise_first raises it again
            self.failures.append(failure)
            if what:
                self.steps.append(Step(what, done=False, words="; ".join([*words, str(failure)])))
        else:
            if what:
                self.steps.append(Step(what, done=True, words="; ".join(words)))

    def raise_first(self) -> None:
        if self.failures:
            raise self.failures[0]
