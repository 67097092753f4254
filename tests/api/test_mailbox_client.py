"""The client against an API that is wrong, hostile or not there: one typed error each, and no token to the wrong server."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_answers import Answer, read_messages, read_tunnels, refusal
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.adapters.tls_pin import parse_fingerprint
from support_tunnel.api.certificate import ensure_certificate, fingerprint
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.settings import ApiSettings
from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock

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


# --- who is asked


def test_another_certificate_gets_no_byte_of_the_request(tmp_path: Path, clock: ManualClock) -> None:
    """The impostor is a whole TLS server with a certificate of its own, and records what reaches it inside TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ensure_certificate(tmp_path / "impostor", ["127.0.0.1"], clock))
    real = fingerprint(ensure_certificate(tmp_path / "real", ["127.0.0.1"], clock))
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def impostor() -> None:
            raw, _ = listener.accept()
            with context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=True) as peer:
                try:
                    heard.append(peer.recv(65536))
                except ConnectionResetError:
                    heard.append(b"")

        thread = threading.Thread(target=impostor)
        thread.start()
        with (
            face(f"https://127.0.0.1:{listener.getsockname()[1]}", real, patience=5) as device,
            pytest.raises(HostError, match="somebody may be answering for the API") as refused,
        ):
            device.messages(TUNNEL, after=0, wait=0)
        thread.join()
    assert (refused.value.code, heard) == ("api.pin", [b""])


def test_the_self_made_certificate_stays_and_a_pin_may_be_written_in_any_usual_way(
    run_api: Callable[..., RunningApi],
) -> None:
    first = run_api()
    first.stop()
    api = run_api()
    assert api.fingerprint == first.fingerprint
    pin = api.fingerprint or ""
    for written in (pin, pin.upper(), "sha256:" + pin, " " + ":".join(pin[i : i + 2] for i in range(0, 64, 2)) + "\n"):
        with face(api.url, written) as device, pytest.raises(WrongState) as reached:
            device.close(TUNNEL)
        assert reached.value.code == "tunnel.unknown"


def test_without_a_pin_an_unknown_authority_is_refused(run_api: Callable[..., RunningApi]) -> None:
    with face(run_api().url, patience=5) as device, pytest.raises(HostError) as refused:
        device.close(TUNNEL)
    assert refused.value.code == "api.certificate"


def test_an_operators_own_certificate_is_served(
    run_api: Callable[..., RunningApi], tmp_path: Path, clock: ManualClock
) -> None:
    own = ensure_certificate(tmp_path / "own", ["localhost"], clock)
    api = run_api(certificate=own, names=("localhost",))
    with face(api.url, fingerprint(own)) as device:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
    assert not (tmp_path / "api" / "tls.pem").exists()


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, clock: ManualClock) -> None:
    path = ensure_certificate(tmp_path, ["localhost"], clock)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    path.chmod(0o640)
    with pytest.raises(UsageError) as refused:
        ensure_certificate(tmp_path, ["localhost"], clock)
    assert refused.value.code == "api.tls"


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "xy" * 32, "sha1:" + "ab" * 32])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_fingerprint(text)
    assert refused.value.code == "api.fingerprint"


@pytest.mark.parametrize(
    ("url", "pin", "code"),
    [
        ("http://api.example", None, "api.plain"),
        ("http://192.0.2.1:80", None, "api.plain"),
        ("http://127.0.0.1.example", None, "api.plain"),
        ("http://127.0.0.1", "ab" * 32, "api.plain"),
        ("ftp://api.example", None, "api.url"),
        ("api.example", None, "api.url"),
        ("https://", None, "api.url"),
        ("https://user:pw@api.example", None, "api.url"),
        ("https://api.example/?x=1", None, "api.url"),
        ("https://api.example:99999", None, "api.url"),
    ],
)
def test_an_address_that_would_give_tokens_away_is_refused(url: str, pin: str | None, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        face(url, pin)
    assert refused.value.code == code


def test_plain_http_is_for_loopback_on_the_servers_side_too(run_api: Callable[..., RunningApi], tmp_path: Path) -> None:
    with face(run_api(plain=True).url) as device:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
    with pytest.raises(UsageError) as refused:
        ApiSettings(tmp_path, host="0.0.0.0", plain=True)  # noqa: S104 - what must be refused
    assert refused.value.code == "api.plain"


def test_a_token_cannot_become_a_header_of_its_own() -> None:
    with pytest.raises(UsageError) as refused:
        HttpMailbox("https://api.example", clock=SystemClock(), admin_token=Secret("x\r\nHost: evil"))
    assert refused.value.code == "api.token"


def test_proxies_of_the_environment_are_not_asked(
    run_api: Callable[..., RunningApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    api = run_api()
    with face(api.url, api.fingerprint) as device:
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)


def test_importing_the_client_is_cheap() -> None:
    program = (
        "import sys, support_tunnel.adapters.mailbox_http; print([m for m in ('httpx', 'fastapi') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[2])
    assert subprocess.check_output([sys.executable, "-c", program], cwd=root, text=True) == "[]\n"


# --- what comes back


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


def test_the_device_token_is_sent_to_nobody_in_clear(run_api: Callable[..., RunningApi]) -> None:
    api = run_api()
    with face(api.url, api.fingerprint) as device:
        token = device.device_token.reveal()
        assert token not in repr(device.__dict__)
        device.open(TUNNEL, b"offer", claim=Secret(bytes(32)), ttl=60)
    row = api.store.tunnel(TUNNEL, ManualClock().now())
    assert row is not None
    assert row.device_sha256 == hashlib.sha256(token.encode()).digest()
