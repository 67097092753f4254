"""The way to a cloud that a test plays: real HTTP on loopback, with faults where a test wants them.

A provider is a function from request to answer, with state. The gate is what makes it go wrong, in one way for all of them: so what
holds for one driver is asked of every driver.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl, urlsplit

__all__ = ["HTML", "Answer", "Fault", "Gate", "Provider", "Request", "gate", "served"]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str
    """Path and query as they were sent."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


HTML = Answer(200, b"<html><body>Please log in to this network</body></html>", "text/html")


class Provider(Protocol):
    """A cloud with state, and how its owner sees it."""

    name: str

    def handle(self, request: Request) -> Answer: ...

    def settings(self, url: str) -> dict[str, str]:
        """Of the inventory, with its secrets as they are."""

    def creates(self, request: Request) -> bool:
        """Whether this request makes a server."""

    def lists(self, request: Request) -> bool: ...

    def destroys(self, request: Request) -> bool: ...

    def everything(self) -> list[str]:
        """Ids of all servers that are there, ours or not."""

    def walls(self) -> list[str]:
        """Ids of all firewalls that are there, ours or not, the account's own first one left out."""

    def rules(self) -> set[tuple[str, int, str]]:
        """What all of them let in: protocol, port, network."""

    def foreign(self, name: str) -> str:
        """Put a server there that somebody else made, and return its id."""

    def foreign_wall(self, name: str) -> str:
        """Put a firewall there that somebody else made, of our name, and return its id."""

    def holds(self, name: str) -> bool:
        """Whether nobody else can take this name now, where a name is one server's or firewall's alone."""

    def refusal(self, kind: str) -> Answer:
        """As the provider words it: `auth`, `quota`, `rate`, `bad-request`, `retry`."""


@dataclass
class Fault:
    """What happens to the requests that it is for, `times` of them; an effect comes first where it says so."""

    to: Callable[[Request], bool]
    answer: Answer | None
    """None: the line is cut without one."""
    times: int = 1
    effect: bool = False
    then: Callable[[Answer], Answer] | None = None
    """Make the answer from the true one, after its effect."""


class Gate:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.faults: list[Fault] = []
        self.log: list[Request] = []
        self.url = ""
        self.lock = threading.Lock()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The cloud's own clock, to the second."""

    def answer(self, request: Request) -> Answer | None:
        with self.lock:
            self.log.append(request)
            fault = next((one for one in self.faults if one.times and one.to(request)), None)
            if fault is None:
                return self.provider.handle(request)
            fault.times -= 1
            if fault.then is not None:
                return fault.then(self.provider.handle(request))
            if fault.effect:
                self.provider.handle(request)
            return fault.answer

    def sent(self, which: Callable[[Request], bool]) -> int:
        return len([request for request in self.log if which(request)])


G = TypeVar("G", bound=Gate)


@contextmanager
def gate(provider: Provider) -> Iterator[Gate]:
    with served(Gate(provider)) as made:
        yield made


@contextmanager
def served(made: G, *, keep_alive: bool = False) -> Iterator[G]:
    """Let it answer at its `url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one write an answer: a second one would wait until the first is acknowledged

        def _do(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = made.answer(Request(self.command, parts.path, query, headers, body, self.path))
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", answer.type)
            self.send_header("Content-Length", str(len(answer.body)))
            if not keep_alive:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _do

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(made.now(), usegmt=True)

        def log_message(self, *_: Any) -> None:
            """No word on stderr."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 64  # eight threads of ours knock at once, and who is not let in comes back after a second

    server = Server(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
