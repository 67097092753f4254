"""What every request meets before any of our code reads it: rate, length, size and slowness. Nothing here knows tunnels."""

from __future__ import annotations

import asyncio
import math
import time
from ipaddress import IPv6Address, ip_address, ip_network

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from support_tunnel.api.metrics import Metrics
from support_tunnel.api.refusal import Refusal
from support_tunnel.api.settings import MAX_BODY, ApiSettings

__all__ = ["Gate"]

WRITES = frozenset({"PUT", "POST"})


class Gate:
    """ASGI middleware. The address is the socket's; uvicorn has replaced it only for a configured proxy."""

    def __init__(self, app: ASGIApp, settings: ApiSettings, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._body_seconds = settings.body_seconds
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(settings.requests_per_minute)
        self._opens = RateLimitItemPerHour(settings.opens_per_hour)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            self._check_rate(request)
            if request.method in WRITES:
                receive = await self._whole_body(request)
        except ClientDisconnect:
            return  # nobody is there to answer
        except Refusal as refusal:
            self._metrics.refusals[refusal.code] += 1
            # The rest of a refused body is not read: the connection ends with the answer.
            headers = {**refusal.headers, "Connection": "close"}
            await JSONResponse(refusal.body(), refusal.status, headers)(scope, request.receive, send)
            return
        await self._app(scope, receive, send)

    def _check_rate(self, request: Request) -> None:
        who = _payer(request.client.host if request.client else "")
        self._charge(self._requests, who)
        if request.method == "PUT":
            self._charge(self._opens, who)

    def _charge(self, limit: RateLimitItem, who: str) -> None:
        if self._limiter.hit(limit, who):
            return
        frees_at, _ = self._limiter.get_window_stats(limit, who)
        # The library counts in time.time(), so the difference is taken in it too.
        seconds = max(1, math.ceil(frees_at - time.time()))
        raise Refusal(429, "api.busy", "too many requests from your address", headers={"Retry-After": str(seconds)})

    async def _whole_body(self, request: Request) -> Receive:
        length = request.headers.get("content-length")
        if length is None:
            raise Refusal(411, "api.length", "a body needs a Content-Length")
        if not (length.isascii() and length.isdigit() and int(length[:20]) <= MAX_BODY):
            raise Refusal(413, "api.size", f"a request holds at most {MAX_BODY} bytes")
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await request.body()
        except TimeoutError:
            raise Refusal(408, "api.slow", "the body did not arrive in time") from None
        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": body, "more_body": False}
            return await request.receive()

        return replay


def _payer(address: str) -> str:
    """Who pays for a request: an IPv6 customer holds a /64 and would otherwise have 2^64 budgets."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)
