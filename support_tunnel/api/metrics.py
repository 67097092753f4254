"""What the service counts about itself, in Prometheus' text format 0.0.4: numbers only, no id, no address, no name of a token.

By hand, because five families need neither a client library nor its global registry. One event loop, so no lock.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from support_tunnel.api.store import Counts

__all__ = ["CONTENT_TYPE", "Meter", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0)
"""Seconds; the last one is above the longest poll."""
OTHER = "other"
"""Any path that is no route of ours: what strangers type is not a label."""


class Metrics:
    def __init__(self) -> None:
        self.messages: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.waiting = 0
        self._requests: dict[tuple[str, str], list[int]] = {}
        self._seconds: dict[tuple[str, str], float] = {}

    @contextmanager
    def one_waits(self) -> Iterator[None]:
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    def observe(self, method: str, route: str, seconds: float) -> None:
        """Count one request of that route as answered after so many seconds."""
        key = (method, route)
        buckets = self._requests.setdefault(key, [0] * (len(BUCKETS) + 1))
        buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    def render(self, tunnels: Counts) -> str:
        return "".join(f"{line}\n" for line in self._lines(tunnels))

    def _lines(self, tunnels: Counts) -> Iterator[str]:
        yield from _head("tunnels", "gauge", "Tunnels whose time is not over.")
        yield from _values("tunnels", "state", {"open": tunnels.open, "closed": tunnels.closed})
        yield from _head("messages_total", "counter", "Messages stored since the start, by slot.")
        yield from _values("messages_total", "slot", self.messages)
        yield from _head("refusals_total", "counter", "Requests refused since the start, by code.")
        yield from _values("refusals_total", "code", self.refusals)
        yield from _head("waiting_polls", "gauge", "Readers that wait for a message.")
        yield f"support_tunnel_waiting_polls {self.waiting}"
        yield from _head("request_seconds", "histogram", "Time to answer; reads include their long poll.")
        for (method, route), buckets in sorted(self._requests.items()):
            yield from _histogram(f'method="{method}",route="{route}"', buckets, self._seconds[method, route])


class Meter:
    """ASGI middleware, outermost: times every request, those that the gate turned away too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        try:
            await self._app(scope, receive, send)
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            method = scope["method"] if route != OTHER else OTHER
            self._metrics.observe(method, route, time.monotonic() - began)


def _head(name: str, kind: str, words: str) -> Sequence[str]:
    return (f"# HELP support_tunnel_{name} {words}", f"# TYPE support_tunnel_{name} {kind}")


def _values(name: str, label: str, values: Mapping[str, int]) -> Iterator[str]:
    for value, count in sorted(values.items()):
        yield f'support_tunnel_{name}{{{label}="{value}"}} {count}'


def _histogram(labels: str, buckets: Sequence[int], seconds: float) -> Iterator[str]:
    name, total = "support_tunnel_request_seconds", 0
    for limit, count in zip([*map(str, BUCKETS), "+Inf"], buckets, strict=True):
        total += count
        yield f'{name}_bucket{{{labels},le="{limit}"}} {total}'
    yield f"{name}_sum{{{labels}}} {seconds:.6f}"
    yield f"{name}_count{{{labels}}} {total}"
