"""The HTTP face of the post office: routes, wake-up, purge. It translates; rights are in `office`, rows in `store`."""

from __future__ import annotations

import asyncio
import binascii
import logging
import re
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from support_tunnel import __version__
from support_tunnel.api import models, page
from support_tunnel.api.answers import answer_refusals
from support_tunnel.api.bells import Bells
from support_tunnel.api.described import ADMIN, DEVICE_OR_ADMIN, add_security, problems
from support_tunnel.api.gate import Gate
from support_tunnel.api.metrics import CONTENT_TYPE, Meter, Metrics
from support_tunnel.api.office import Credentials, Delivery, PostOffice
from support_tunnel.api.refusal import unknown_tunnel
from support_tunnel.api.settings import ApiSettings
from support_tunnel.api.store import Put, Store, StoreUnavailable
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LONGEST_POLL, Clock

__all__ = ["create_app"]

LOG = logging.getLogger(__name__)
ABOUT = """\
Relays sealed messages between a device that asks for help and the admin who gives it, and forgets them when their time is over.

The service cannot read, forge or keep a session alive; it is a mailbox with a clock. Both sides pin its certificate or \
reach it with one of a public authority.
"""
NEW: dict[int | str, dict[str, Any]] = {
    201: {"model": models.Stored, "description": "Stored; 200: it was there already."}
}
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
TUNNEL_ID = re.compile(r"[0-9a-f]{32}")


def _tunnel_id(
    tid: Annotated[
        str,
        # Only described: the answer to a strange id is the same 404 as to an unknown one.
        PathParameter(
            description="The id of a tunnel, which its code yields.",
            json_schema_extra={"pattern": f"^{TUNNEL_ID.pattern}$", "example": "5e" * 16},
        ),
    ],
) -> TunnelId:
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
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        chores = [asyncio.create_task(_purge(store, clock, settings)), asyncio.create_task(_hear(store, bells))]
        try:
            yield
        finally:
            for chore in chores:
                chore.cancel()
            for chore in chores:
                with suppress(asyncio.CancelledError):
                    await chore

    app = FastAPI(
        title="support-tunnel mailbox",
        version=__version__,
        description=ABOUT,
        lifespan=lifespan,
        docs_url=None,  # loads scripts from elsewhere; ours is in `page`
        redoc_url=None,
    )
    app.state.bells = bells
    app.add_middleware(Gate, settings=settings, metrics=metrics)
    app.add_middleware(Meter, metrics=metrics)
    answer_refusals(app, metrics)
    add_security(app)
    _add_watching(app, office, store, metrics)

    @app.put("/v1/tunnels/{tid}", responses=NEW | problems(404, 409, writes=True))
    async def open_tunnel(tid: Tid, body: models.Open, response: Response) -> models.Stored:
        """Register a tunnel with its first message. Anybody may: the id comes from a secret code. May be repeated."""
        row = Put(tid, body.offer, bytes.fromhex(body.device_token_sha256), bytes.fromhex(body.claim_sha256), body.ttl)
        new = await run_in_threadpool(office.open, row)
        metrics.messages["offer"] += new
        response.status_code = 201 if new else 200
        return models.Stored(stored=new)

    @app.post(
        "/v1/tunnels/{tid}/messages",
        responses=NEW | problems(401, 404, 409, writes=True),
        openapi_extra=DEVICE_OR_ADMIN,
    )
    async def post(tid: Tid, shown: Shown, body: models.Post, response: Response) -> models.Stored:
        """Leave a sealed message for the other side. May be repeated: the same bytes are stored once."""
        new = await run_in_threadpool(office.post, tid, body.slot, body.blob, shown)
        metrics.messages[body.slot] += new
        bells.ring(tid)
        response.status_code = 201 if new else 200
        return models.Stored(stored=new)

    @app.get("/v1/tunnels/{tid}/messages", responses=problems(401, 404), openapi_extra=DEVICE_OR_ADMIN)
    async def read(
        tid: Tid,
        shown: Shown,
        after: Annotated[int, Query(ge=0, le=2**53, description="The highest number seen so far.")] = 0,
        wait: Annotated[float, Query(ge=0, description="Seconds to wait if there is nothing; 25 at most.")] = 0.0,
    ) -> models.Messages:
        """Read the messages of both sides, and wait for one if there is none."""
        with metrics.one_waits() if wait else nullcontext():
            return _messages(await _read(office, bells, tid, shown, after, min(wait, LONGEST_POLL)))

    @app.post("/v1/tunnels/{tid}/stop", responses=problems(401, 404, writes=True), openapi_extra=DEVICE_OR_ADMIN)
    async def stop(tid: Tid, shown: Shown) -> models.Stored:
        """Close the tunnel for good. What was sent can still be read until its time is over. May be repeated."""
        await run_in_threadpool(office.close, tid, shown)
        bells.ring(tid)
        return models.Stored(stored=True)

    @app.get("/v1/tunnels", responses=problems(401, 403), openapi_extra=ADMIN)
    async def tunnels(shown: Shown) -> models.Tunnels:
        """List metadata of open tunnels, for tokens with the right `list`."""
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

    return app


def _add_watching(app: FastAPI, office: PostOffice, store: Store, metrics: Metrics) -> None:
    """Add what operators look at; none of it tells of a single tunnel."""

    @app.get("/healthz", responses=problems())
    async def healthz() -> models.Health:
        """Tell whether the service and its store answer."""
        await run_in_threadpool(store.check)
        return models.Health(status="ok")

    @app.get("/metrics", responses=TEXT | problems(401, 403), openapi_extra=ADMIN, response_class=Response)
    async def metrics_(shown: Shown) -> Response:
        """Give numbers in Prometheus' text format, for tokens with the right `metrics`."""
        counts = await run_in_threadpool(office.counts, shown)
        return Response(metrics.render(counts), media_type=CONTENT_TYPE)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page.render(app.openapi()), headers=page.HEADERS)


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


async def _hear(store: Store, bells: Bells) -> None:
    """Wake readers for what other processes of the same store take in."""
    async with aclosing(store.changes()) as changes:
        async for tunnel in changes:
            if tunnel is None:
                bells.ring_all()
            else:
                bells.ring(tunnel)


async def _purge(store: Store, clock: Clock, settings: ApiSettings) -> None:
    """Delete expired rows. Reads hide them at once anyway; this is what takes them off the disk."""
    while True:
        try:
            await run_in_threadpool(store.purge, clock.now(), history=settings.history)
        except StoreUnavailable:
            LOG.warning("the store is unavailable; expired tunnels are deleted at the next turn")
        await asyncio.sleep(settings.purge_seconds)
