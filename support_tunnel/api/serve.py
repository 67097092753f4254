"""Runs the API: TLS, sockets, start and stop; in the foreground for a service, in a thread for rehearsals and tests."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from support_tunnel.api.app import create_app
from support_tunnel.api.certificate import ensure_certificate, fingerprint
from support_tunnel.api.settings import ApiSettings
from support_tunnel.api.sqlite_store import SqliteStore
from support_tunnel.api.store import Store
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import Clock

if TYPE_CHECKING:
    from support_tunnel.api.postgres_store import PostgresStore

__all__ = ["RunningApi", "needs_extra", "open_store", "serve"]

ONCE_STOPPING = 3
"""Seconds that open connections get at stop; long polls are sent home before."""
MOST_CONNECTIONS = 2000


def open_store(settings: ApiSettings) -> SqliteStore | PostgresStore:
    """Open the store of an API, running or not: both share it between processes.

    Raises UsageError `api.store`, `api.schema`, `database.string`, `database.extra`.
    """
    if settings.database is None:
        return SqliteStore(settings.store_path, max_bytes=settings.store_bytes, patience=settings.store_patience)
    with needs_extra():
        from support_tunnel.api.postgres_store import PostgresStore
    return PostgresStore(settings.database, max_bytes=settings.store_bytes, patience=settings.store_patience)


@contextmanager
def needs_extra() -> Iterator[None]:
    """Around imports that only the extra `postgres` has. Raises UsageError `database.extra`."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            "database.extra",
            f"what PostgreSQL needs is not installed: {error.name}",
            next_step="Install the extra: pip install 'support-tunnel[postgres]'.",
        ) from error


def serve(settings: ApiSettings, *, clock: Clock, announce: Callable[[str], None]) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; `announce` gets the lines an operator hands to clients."""
    with open_store(settings) as store:
        prepared = _Prepared(settings, store, clock)
        announce(f"url: {prepared.url}")
        if prepared.fingerprint is not None:
            announce(f"fingerprint: {prepared.fingerprint}")
        prepared.server.run(sockets=[prepared.socket])


class RunningApi:
    """An API in a thread of this process: `with RunningApi(settings, clock=...) as api: api.url, api.fingerprint`."""

    def __init__(self, settings: ApiSettings, *, clock: Clock, store: Store | None = None) -> None:
        self._store = store or open_store(settings)
        try:
            self._prepared = _Prepared(settings, self._store, clock)
        except BaseException:
            self._store.disconnect()
            raise
        self._thread = threading.Thread(target=self._run, name="support-tunnel-api", daemon=True)
        self.url = self._prepared.url
        self.fingerprint = self._prepared.fingerprint
        self.store = self._store

    def __enter__(self) -> RunningApi:
        self._thread.start()
        self._prepared.server.up.wait()
        if not self._prepared.server.started:
            self.stop()
            raise HostError("api.start", f"the mailbox did not start at {self.url}")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening, end the waiting polls, close the store. Stopping twice is fine."""
        self._prepared.server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join()
        self._prepared.socket.close()
        self._store.disconnect()

    def _run(self) -> None:
        try:
            self._prepared.server.run(sockets=[self._prepared.socket])
        finally:
            self._prepared.server.up.set()


class _Prepared:
    """A server that is bound and has its certificate, but does not answer yet; so url and pin are known before."""

    def __init__(self, settings: ApiSettings, store: Store, clock: Clock) -> None:
        names = settings.names or (settings.host,)
        certificate = None if settings.plain else _certificate(settings, names, clock)
        self.fingerprint = None if certificate is None else fingerprint(certificate)
        app = create_app(settings, store=store, clock=clock)
        self.server = _Server(_config(app, settings, certificate), app)
        self.server.config.load()  # a key that does not fit its certificate is told here, before anything is announced
        self.socket = _bind(settings)
        host = f"[{names[0]}]" if ":" in names[0] else names[0]
        self.url = f"{'http' if settings.plain else 'https'}://{host}:{self.socket.getsockname()[1]}"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.bells.end()
        # TLS would wait for a goodbye that a client with an idle connection does not send.
        self._hang_up(idle_only=True)
        await super().shutdown(sockets)
        self._hang_up(idle_only=False)
        await asyncio.sleep(0)  # the transports close at the loop's next turn

    def _hang_up(self, *, idle_only: bool) -> None:
        for connection in list(self.server_state.connections):
            assert isinstance(connection, H11Protocol)  # noqa: S101 - as `_config` asks for
            if not idle_only or connection.cycle is None or connection.cycle.response_complete:
                connection.transport.abort()


def _certificate(settings: ApiSettings, names: tuple[str, ...], clock: Clock) -> Path:
    return settings.certificate or ensure_certificate(settings.state_dir, names, clock)


def _config(app: FastAPI, settings: ApiSettings, certificate: Path | None) -> uvicorn.Config:
    def tls(config: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        try:
            context = default()
        except (OSError, ssl.SSLError) as error:
            raise UsageError("api.tls", f"{certificate} and its key cannot be used together") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_3  # both ends are ours; no older handshake has a reason
        return context

    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,  # ids and addresses in a log would outlive the tunnels
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=ONCE_STOPPING,
        ssl_certfile=certificate,
        ssl_keyfile=settings.key,
        ssl_context_factory=None if certificate is None else tls,
    )


def _bind(settings: ApiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it each answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise HostError(
            "api.bind",
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}",
            next_step="Choose another port or stop what uses it.",
        ) from error
    listener.setblocking(False)
    return listener
