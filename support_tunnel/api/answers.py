"""What an error becomes on the wire: one JSON shape for every refusal, counted by its code.

FastAPI's own 422 repeats the input, which here is a sealed message; nothing of it is sent back.
"""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from support_tunnel.api.metrics import Metrics
from support_tunnel.api.refusal import Refusal, unknown_tunnel
from support_tunnel.api.store import StoreFull, StoreUnavailable

__all__ = ["answer_refusals"]

COMES_BACK = 2
"""Seconds; a store that is locked or restarted seldom takes longer."""


def answer_refusals(app: FastAPI, metrics: Metrics) -> None:
    """Have every expected error answered; what is left is a defect and becomes Starlette's bare 500."""

    def refused_with(refusal: Refusal) -> JSONResponse:
        metrics.refusals[refusal.code] += 1
        return JSONResponse(refusal.body(), refusal.status, dict(refusal.headers))

    async def refused(_: Request, error: Exception) -> JSONResponse:
        return refused_with(cast(Refusal, error))

    async def malformed(_: Request, __: Exception) -> JSONResponse:
        return refused_with(Refusal(422, "api.request", "the request is not of the documented form"))

    async def not_ours(_: Request, error: Exception) -> JSONResponse:
        wrong = cast(HTTPException, error)
        if wrong.status_code == 404:
            return refused_with(unknown_tunnel())  # no such path looks exactly like no such tunnel
        return refused_with(
            Refusal(wrong.status_code, "api.request", "the request is not possible", headers=wrong.headers or {})
        )

    async def full(_: Request, __: Exception) -> JSONResponse:
        return refused_with(Refusal(507, "api.full", "the mailbox has no room left"))

    async def unavailable(_: Request, __: Exception) -> JSONResponse:
        again = {"Retry-After": str(COMES_BACK)}
        return refused_with(Refusal(503, "api.store", "the mailbox cannot be reached right now", headers=again))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, not_ours)
    app.add_exception_handler(StoreFull, full)
    app.add_exception_handler(StoreUnavailable, unavailable)
