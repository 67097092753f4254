"""Fault wiring: every port call of one run has a number, and at the n-th the run fails, hangs or is killed.

A crash test enumerates the calls of an undisturbed run and then repeats the run once for each call and each side of it
(before and after its effect), so a call at which nobody was killed is visible. Must not be reachable from the product's
own settings: it is installed only by an object a test makes, or by `support_tunnel.testing.killed_at`.

Some calls are not counted: those of the clock and of the progress list have no effect on the world, and their number
depends on the machine's load. A call that repeats the one before it with the same arguments is a look at the same thing
(polling) and keeps its number, for the same reason; looks into a mailbox in a row are one, however the messages arrive.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from support_tunnel.core.ports import Clock

__all__ = ["UNCOUNTED", "Fault", "FaultWiring", "Side", "hanging", "killing", "raising", "signalling"]

Side = Literal["before", "after"]
P = TypeVar("P")

UNCOUNTED = frozenset({"clock", "progress"})
WAITING = frozenset({"mailbox.messages"})
"""Calls that wait for news: their arguments tell what came before."""
RETURNED_PORTS = {"connector.connect": "server"}
"""Calls that return a port, and the name under which the calls of that port are counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the `number`-th call (from 1), on which side of its effect."""

    number: int
    side: Side
    deed: Callable[[], None]
    lasting: bool = False
    """Every call after it meets the same, before its effect: the world is away, or the caller is dead."""


def raising(error: BaseException) -> Callable[[], None]:
    """A call that fails."""

    def deed() -> None:
        raise error

    return deed


def hanging(clock: Clock, seconds: float) -> Callable[[], None]:
    """A call that takes `seconds` of the run's own clock."""
    return lambda: clock.pause(seconds)


def killing() -> Callable[[], None]:
    """A call during which the process is killed: no handler runs, nothing is flushed."""
    return signalling(signal.SIGKILL)


def signalling(number: signal.Signals) -> Callable[[], None]:
    """A call during which the process gets this signal: Ctrl-C, a service manager's stop, a closed window."""
    return lambda: os.kill(os.getpid(), number)


class FaultWiring:
    """Wraps the ports of one run. `calls` lists `port.method` in the order of their numbers; so does the file `record`.

    `struck` once the fault has happened.
    """

    def __init__(self, fault: Fault | None = None, *, record: Path | None = None) -> None:
        self._fault = fault
        self._record = record
        self._last: tuple[str, object] | None = None
        self.calls: list[str] = []
        self.struck = False

    def wrap(self, name: str, port: P) -> P:
        """Return a port of the same shape; attributes that are no methods pass through."""
        return port if name in UNCOUNTED else _Wrapped(name, port, self)  # type: ignore[return-value]  # same shape

    def call(self, name: str, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Count one call and do it, with the fault if it is this call's turn."""
        if self._fault is not None and self._fault.lasting and self.struck:
            self._fault.deed()
        due = self._count(name, (args, kwargs))
        self._strike(due, "before")
        result = method(*args, **kwargs)
        self._strike(due, "after")
        return self.wrap(RETURNED_PORTS[name], result) if name in RETURNED_PORTS else result

    def _count(self, name: str, arguments: object) -> bool:
        """Return whether the fault is due at this call."""
        call = (name, None if name in WAITING else arguments)
        if call == self._last:
            return False
        self._last = call
        self.calls.append(name)
        if self._record is not None:
            # Opened and closed for each line: a killed process has written all it counted.
            with self._record.open("a") as file:
                file.write(name + "\n")
        return self._fault is not None and self._fault.number == len(self.calls)

    def _strike(self, due: bool, side: Side) -> None:
        if due and self._fault is not None and self._fault.side == side:
            self.struck = True
            self._fault.deed()


class _Wrapped:
    """One port whose methods are counted."""

    def __init__(self, name: str, port: object, wiring: FaultWiring) -> None:
        self._name, self._port, self._wiring = name, port, wiring

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._port, attribute)
        if attribute.startswith("_") or not callable(found):
            return found
        return lambda *args, **kwargs: self._wiring.call(f"{self._name}.{attribute}", found, args, kwargs)
