"""An HTTP server on loopback that answers what a test says: proxies, login pages, other versions, liars."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GOOD_VERSION = (200, "application/json", '{"version":"v0.29.2"}')
Reply = tuple[int, str, str] | None
"""Status, content type, body; None closes the connection without a word."""


@dataclass(slots=True)
class Stub:
    """`replies` are for requests in order, the last one for ever; `/version` and `/health` have their own."""

    port: int = 0
    replies: list[Reply] = field(default_factory=list)
    version: Reply = GOOD_VERSION
    health: Reply = (200, "application/health+json", '{"status":"pass"}')
    asked: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """Requests that came, as `METHOD path`, and the credentials of each."""

    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def calls(self) -> list[str]:
        return [line for line in self.asked if not line.endswith(("/version", "/health")) or "/api/" in line]

    def reply(self, path: str) -> Reply:
        if path == "/version":
            return self.version
        if path == "/health":
            return self.health
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stub.asked.append(f"{self.command} {self.path}")
            stub.keys.append(self.headers.get("Authorization") or "")
            reply = stub.reply(self.path)
            if reply is None:
                self.close_connection = True
                return
            status, kind, body = reply
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body.encode())))
            if status in (301, 302, 307):
                self.send_header("Location", f"{stub.url}/api/v1/elsewhere")
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stub.port = server.server_port
        if stub.tls:
            server.socket = stub.tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()
