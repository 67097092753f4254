"""The HTTP face of the post office: routes, wake-up, purge. It translates; rights are in `office`, rows in `store`."""

from __future__ import annotations

import asyncio
import binascii
import logging
import re
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, cast

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from support_tunnel.api import models
from support_tunnel.api.bells import Bells
from support_tunnel.api.gate import Gate
from support_tunnel.api.office import Credentials, Delivery, PostOffice
from support_tunnel.api.refusal import Refusal, unknown_tunnel
from support_tunnel.api.settings import LONGEST_WAIT, ApiSettings
from support_tunnel.api.store import Put, Store, StoreFull, StoreUnavailable
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Clock

__all__ = ["create_app"]

LOG = logging.getLogger(__name__)
TUNNEL_ID = re.compile(r"[0-9a-f]{32}")


def _tunnel_id(tid: str) -> TunnelId:
    if not TUNNEL_ID.fullmatch(tid):
        raise unknown_tunnel()
    return TunnelId(tid)


def _credentials(request: Request) -> Credentials:
    """Take the headers as bytes: what is not ASCII or not base64 is simply nobody's token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""
    claim = request.headers.get("support-tunnel-claim")
    if claim is None:
        return Credentials(shown or None, None)
    try:
        return Credentials(shown or None, b64decode(claim, validate=True))
    except (binascii.Error, ValueError):
        return Credentials(shown or None, b"")


Tid = Annotated[TunnelId, Depends(_tunnel_id)]
Shown = Annotated[Credentials, Depends(_credentials)]


def create_app(settings: ApiSettings, *, store: Store, clock: Clock) -> FastAPI:
    """Build the service; `app.state.bells` is rung by whoever stops it (`serve`). The caller owns the store."""
    office = PostOffice(store, clock)
    bells = Bells()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        purging = asyncio.create_task(_purge(store, clock, every=settings.purge_seconds))
        try:
            yield
        finally:
            purging.cancel()
            with suppress(asyncio.CancelledError):
                await purging

    app = FastAPI(title="support-tunnel mailbox", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.bells = bells
    app.add_middleware(Gate, settings=settings)
    _answer_refusals(app)

    @app.put("/v1/tunnels/{tid}")
    async def open_tunnel(tid: Tid, body: models.Open, response: Response) -> models.Stored:
        row = Put(tid, body.offer, bytes.fromhex(body.device_token_sha256), bytes.fromhex(body.claim_sha256), body.ttl)
        new = await run_in_threadpool(office.open, row)
        response.status_code = 201 if new else 200
        return models.Stored(stored=new)

    @app.post("/v1/tunnels/{tid}/messages")
    async def post(tid: Tid, shown: Shown, body: models.Post, response: Response) -> models.Stored:
        new = await run_in_threadpool(office.post, tid, body.slot, body.blob, shown)
        bells.ring(tid)
        response.status_code = 201 if new else 200
        return models.Stored(stored=new)

    @app.get("/v1/tunnels/{tid}/messages")
    async def read(
        tid: Tid,
        shown: Shown,
        after: Annotated[int, Query(ge=0, le=2**53)] = 0,
        wait: Annotated[float, Query(ge=0)] = 0.0,
    ) -> models.Messages:
        return _messages(await _read(office, bells, tid, shown, after, min(wait, LONGEST_WAIT)))

    @app.post("/v1/tunnels/{tid}/stop")
    async def stop(tid: Tid, shown: Shown) -> models.Stored:
        await run_in_threadpool(office.close, tid, shown)
        bells.ring(tid)
        return models.Stored(stored=True)

    @app.get("/v1/tunnels")
    async def tunnels(shown: Shown) -> models.Tunnels:
        rows = await run_in_threadpool(office.open_tunnels, shown)
        return models.Tunnels(
            tunnels=[
                models.Tunnel(
                    tunnel=row.tunnel,
                    state="open",
                    slots=list(row.slots),
                    created=row.created.isoformat(),
                    expires=row.expires.isoformat(),
                    answered_by=row.answered_by,
                )
                for row in rows
            ]
        )

    @app.get("/healthz")
    async def healthz() -> models.Health:
        await run_in_threadpool(store.check)
        return models.Health(status="ok")

    return app


async def _read(
    office: PostOffice, bells: Bells, tid: TunnelId, shown: Credentials, after: int, wait: float
) -> Delivery:
    """Read, and wait for the bell when there is nothing. Each look checks the token again: it may be revoked meanwhile."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    with bells.listen(tid) as bell:
        while True:
            bell.clear()
            delivery = await run_in_threadpool(office.read, tid, after, shown)
            left = deadline - loop.time()
            if delivery.messages or delivery.closed or bells.ended or left <= 0:
                return delivery
            try:
                await asyncio.wait_for(bell.wait(), left)
            except TimeoutError:
                return delivery


def _messages(delivery: Delivery) -> models.Messages:
    return models.Messages(
        state="closed" if delivery.closed else "open",
        messages=[models.Message(number=m.number, slot=m.slot, blob=m.data) for m in delivery.messages],
    )


async def _purge(store: Store, clock: Clock, *, every: float) -> None:
    """Delete expired rows. Reads hide them at once anyway; this is what takes them off the disk."""
    while True:
        try:
            await run_in_threadpool(store.purge, clock.now())
        except StoreUnavailable:
            LOG.warning("the store is unavailable; expired tunnels are deleted at the next turn")
        await asyncio.sleep(every)


def _answer_refusals(app: FastAPI) -> None:
    """One JSON shape for every refusal. FastAPI's own 422 repeats the input, which here is a sealed message."""

    async def refused(_: Request, error: Exception) -> JSONResponse:
        refusal = cast(Refusal, error)
        return JSONResponse(refusal.body(), refusal.status, dict(refusal.headers))

    async def malformed(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse(Refusal(422, "api.request", "the request is not of the documented form").body(), 422)

    async def not_ours(_: Request, error: Exception) -> JSONResponse:
        status = cast(HTTPException, error).status_code
        # No such path looks exactly like no such tunnel.
        refusal = unknown_tunnel() if status == 404 else Refusal(status, "api.request", "the request is not possible")
        return JSONResponse(refusal.body(), refusal.status)

    async def full(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse(Refusal(507, "api.full", "the mailbox has no room left").body(), 507)

    async def unavailable(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse(Refusal(503, "api.store", "the mailbox cannot be reached right now").body(), 503)

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, not_ours)
    app.add_exception_handler(StoreFull, full)
    app.add_exception_handler(StoreUnavailable, unavailable)
