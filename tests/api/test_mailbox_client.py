"""The client against an API that is wrong, hostile or not there: one typed error each, and no token to the wrong server."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_answers import Answer, read_messages, read_tunnels, refusal
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.core.errors import HostError, SupportTunnelError, WrongState
from support_tunnel.core.names import TunnelId

TUNNEL = TunnelId("ab" * 16)


def face(url: str, pin: str | None = None, patience: float = 0) -> HttpMailbox:
    return HttpMailbox(url, clock=SystemClock(), fingerprint=pin, patience=patience)


def request_from(peer: socket.socket) -> bytes:
    """Read one request whole; head and body come in two writes."""
    with peer.makefile("rb") as stream:
        head = list[bytes]()
        while not head or head[-1] != b"\r\n":
            head.append(stream.readline())
        lengths = [int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-length:")]
        return b"".join(head) + stream.read(*lengths or [0])


@contextmanager
def answering(*replies: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A plain server on loopback that gives each connection the next reply; yields its URL and what it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for reply in replies:
                with listener.accept()[0] as peer:
                    heard.append(request_from(peer))
                    peer.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        thread.join()


def http(body: bytes, status: int = 200) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "reply",
    [
        http(b"<html>It works!</html>"),
        http(b"<html>Not found</html>", 404),
        http(b"", 401),
        http(b"", 204),
        http(b"{}"),
        http(b"[]"),
        http(b"[" * 100_000),
        http(b'{"state": "open", "messages": [{"number": 1, "slot": "offer", "blob": "***"}]}'),
        http(b'{"code": "tunnel.unknown"}', 418),
        b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n" + b"x" * (5 * 1024 * 1024),
    ],
    ids=lambda reply: reply[:40].decode(),
)
def test_what_is_not_our_api_is_said_so(reply: bytes) -> None:
    with answering(reply) as (url, _), face(url) as device, pytest.raises(HostError) as refused:
        device.messages(TUNNEL, after=0, wait=0)
    assert refused.value.code == "api.answer"


def test_nobody_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    with face(f"http://127.0.0.1:{port}") as device, pytest.raises(HostError) as refused:
        device.close(TUNNEL)
    assert refused.value.code == "api.unreachable"


@pytest.mark.parametrize(("status", "code"), [(429, "api.busy"), (503, "api.unavailable"), (500, "api.unavailable")])
def test_a_busy_api_is_asked_again_with_the_same_bytes_and_then_named(status: int, code: str) -> None:
    done = http(b'{"stored": true}', 201)
    with answering(b"", http(b"later", status), done) as (url, heard), face(url, patience=60) as device:
        device.post(TUNNEL, "confirm", b"m3")
    assert len(heard) == 3
    assert len(set(heard)) == 1
    with answering(http(b"later", status)) as (url, _), face(url) as device, pytest.raises(HostError) as refused:
        device.post(TUNNEL, "confirm", b"m3")
    assert refused.value.code == code


def test_the_name_of_the_other_admin_cannot_drive_the_terminal() -> None:
    body = {"code": "answer.late", "by": "Ann\x1b]52;c;evil\x07", "since": "\x1b[2J"}
    error = refusal(Answer(409, json.dumps(body).encode()), admin=True)
    assert isinstance(error, WrongState)
    assert error.message == "the owner is already being helped by somebody else"


def test_a_repeated_or_falling_number_is_refused() -> None:
    def answer(*numbers: int) -> Answer:
        rows = [{"number": n, "slot": "offer", "blob": base64.b64encode(b"x").decode()} for n in numbers]
        return Answer(200, json.dumps({"state": "open", "messages": rows}).encode())

    assert [blob.number for blob in read_messages(answer(3, 7), 2)[1]] == [3, 7]
    for numbers in ([2], [3, 3], [4, 3]):
        with pytest.raises(HostError):
            read_messages(answer(*numbers), 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["open", "offer", "eA==", "ab" * 16]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    "state",
                    "messages",
                    "tunnels",
                    "number",
                    "slot",
                    "blob",
                    "code",
                    "by",
                    "since",
                    "tunnel",
                    "slots",
                    "created",
                    "expires",
                    "answered_by",
                ]
            ),
            inner,
        )
    ),
    max_leaves=20,
)


@given(
    status=st.sampled_from([200, 401, 403, 404, 409, 413, 422]), body=JSON.map(json.dumps).map(str.encode) | st.binary()
)
def test_no_answer_raises_anything_but_our_errors(status: int, body: bytes) -> None:
    answer = Answer(status, body)
    for read in (lambda: read_messages(answer, 0), lambda: read_tunnels(answer), lambda: refusal(answer, admin=True)):
        with suppress(SupportTunnelError):
            read()


def test_importing_the_client_is_cheap() -> None:
    program = (
        "import sys, support_tunnel.adapters.mailbox_http; print([m for m in ('httpx', 'fastapi') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[2])
    assert subprocess.check_output([sys.executable, "-c", program], cwd=root, text=True) == "[]\n"
