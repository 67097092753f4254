"""A cloud that is played, with trouble at one of its requests, and a killer who waits at one.

Requests of one verb have numbers from 1. A killed tool is a process: it gets its SIGKILL while it waits for the answer, either before
the request had its effect or after it.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.testing.faults import Side
from tests.clouds.gate import Answer, Gate, Provider, Request

__all__ = ["TROUBLES", "Ambush", "Kill", "Trouble"]

PATIENCE = 60.0
VOLATILE = re.compile(r"X-Amz-|Signature|AWSAccessKeyId|Timestamp")
OURS = re.compile(r"support-tunnel-[0-9a-f]{8}")


class Kill(NamedTuple):
    """At the request of this number, on this side of its effect."""

    number: int
    side: Side


class Trouble(NamedTuple):
    """It strikes `times` requests, from number `first` on; what becomes of them is in `TROUBLES`."""

    name: str
    first: int = 1
    times: int = 1


class Ambush(Gate):
    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self.kill: Kill | None = None
        self.trouble: Trouble | None = None
        self.victim: Future[int] = Future()
        self._empty: dict[str, Answer] = {}
        self._seen: dict[str, Answer] = {}
        self._learning = False
        self.planted: list[tuple[str, str]] = []
        """Servers and firewalls of somebody else that took our name."""

    def stage(self, provider: Provider) -> None:
        """Another cloud takes its place, of the same kind."""
        self.provider, self.planted = provider, []
        self._seen.clear()
        self.lie_in_wait()

    def learn(self, look: Callable[[], object]) -> None:
        """Keep what the cloud's lists say while there is nothing in it: which requests are lists, and how an empty one looks."""
        self._learning = True
        look()
        self._learning = False

    def lie_in_wait(self, *, kill: Kill | None = None, trouble: Trouble | None = None) -> None:
        """For the requests that come from now on."""
        with self.lock:
            self.log.clear()
            self.kill, self.trouble, self.victim = kill, trouble, Future()

    def answer(self, request: Request) -> Answer | None:
        with self.lock:
            self.log.append(request)
            number = len(self.log)
            if self.kill != (number, "before"):
                told = self._told(request, number)
                if self.kill != (number, "after"):
                    return told
            # Nothing of the process runs any more from here on: it waits for an answer, and the signal comes first.
            os.kill(self.victim.result(PATIENCE), signal.SIGKILL)
            return None

    def _told(self, request: Request, number: int) -> Answer | None:
        trouble = self.trouble
        struck = trouble is not None and trouble.first <= number < trouble.first + trouble.times
        return TROUBLES[trouble.name](self, request) if struck and trouble else self.truly(request)

    def truly(self, request: Request) -> Answer:
        """Answer as the cloud does."""
        told = self.provider.handle(request)
        if self._learning and request.method == "GET":
            self._empty[_key(request)] = told
        if _key(request) in self._empty:
            self._seen[_key(request)] = told
        return told

    def refused(self, kind: str) -> Answer:
        return self.provider.refusal(kind)

    def empty(self, request: Request) -> Answer:
        return self._empty.get(_key(request)) or self.truly(request)

    def stale(self, request: Request) -> Answer:
        """As the same list was answered the last time."""
        before = self._seen.get(_key(request))
        return before if before is not None else self.truly(request)

    def taken(self, request: Request) -> Answer:
        """Somebody else takes the name a moment before, for a server and for a firewall, as soon as the cloud lets them."""
        named = OURS.search(f"{request.target} {request.body.decode(errors='replace')}")
        if named and not self.planted and not self.provider.holds(named[0]):
            walled = CLOUDS[self.provider.name].firewall is not None
            wall = self.provider.foreign_wall(named[0]) if walled else ""
            self.planted.append((self.provider.foreign(named[0]), wall))
        return self.truly(request)


def _key(request: Request) -> str:
    asked = sorted((name, value) for name, value in request.query.items() if not VOLATILE.match(name))
    return f"{request.method} {request.path} {asked}"


def _done_unheard(ambush: Ambush, request: Request) -> None:
    ambush.truly(request)


def _cut(ambush: Ambush, request: Request) -> Answer:
    true = ambush.truly(request)
    return Answer(true.status, true.body[: len(true.body) // 2], true.type, true.headers)


TROUBLES: Mapping[str, Callable[[Ambush, Request], Answer | None]] = {
    "500": lambda ambush, _: ambush.refused("retry"),
    "429": lambda ambush, _: ambush.refused("rate"),
    "401": lambda ambush, _: ambush.refused("auth"),
    "no answer": lambda ambush, _: None,
    "done, no answer": _done_unheard,
    "half an answer": _cut,
    "empty list": Ambush.empty,
    "stale list": Ambush.stale,
    "name taken": Ambush.taken,
}
"""What becomes of a request; None is a line that is cut."""
