"""The API as a stranger with a socket sees it: what it refuses, in which words, and that it never answers 500."""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from support_tunnel.adapters.tls_pin import parse_fingerprint, pinned_context
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.tokens import create_token, revoke_token
from support_tunnel.testing.clock import ManualClock

UNKNOWN = {"code": "tunnel.unknown", "message": "there is no such tunnel"}
BAD_TOKEN = {"code": "api.token", "message": "no valid token"}


@dataclass
class Stranger:
    """One open tunnel, its secrets, and a bare HTTP client."""

    api: RunningApi
    http: httpx.Client
    tid: str
    device: str
    claim: bytes

    def headers(self, token: str | bytes | None = None, claim: bytes | None = None) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        if token is not None:
            shown["Authorization"] = b"Bearer " + (token.encode() if isinstance(token, str) else token)
        if claim is not None:
            shown["Support-Tunnel-Claim"] = base64.b64encode(claim).decode()
        return shown

    def offer(self, blob: bytes = b"offer") -> dict[str, Any]:
        return {
            "offer": base64.b64encode(blob).decode(),
            "device_token_sha256": hashlib.sha256(self.device.encode()).hexdigest(),
            "claim_sha256": hashlib.sha256(self.claim).hexdigest(),
            "ttl": 600,
        }

    def read(self, tid: str, headers: dict[str, Any]) -> tuple[int, Any]:
        answer = self.http.get(f"/v1/tunnels/{tid}/messages", headers=headers)
        return answer.status_code, answer.json()

    def post(self, body: Any, headers: dict[str, Any] | None = None) -> httpx.Response:
        shown = self.headers(self.device) if headers is None else headers
        return self.http.post(f"/v1/tunnels/{self.tid}/messages", json=body, headers=shown)


@pytest.fixture
def stranger(run_api: Callable[..., RunningApi]) -> Iterator[Stranger]:
    api = run_api(body_seconds=0.2)
    with httpx.Client(base_url=api.url, verify=tls(api), trust_env=False) as http:
        it = Stranger(api, http, secrets.token_hex(16), secrets.token_urlsafe(32), secrets.token_bytes(32))
        assert http.put(f"/v1/tunnels/{it.tid}", json=it.offer()).status_code == 201
        yield it


def tls(api: RunningApi) -> ssl.SSLContext:
    return pinned_context(parse_fingerprint(api.fingerprint or ""))


def message(slot: str = "confirm", blob: bytes = b"m3") -> dict[str, str]:
    return {"slot": slot, "blob": base64.b64encode(blob).decode()}


def test_an_offer_is_put_once(stranger: Stranger) -> None:
    again = stranger.http.put(f"/v1/tunnels/{stranger.tid}", json=stranger.offer())
    other = stranger.http.put(f"/v1/tunnels/{stranger.tid}", json=stranger.offer(b"another"))
    assert (again.status_code, again.json()) == (200, {"stored": False})
    assert (other.status_code, other.json()["code"]) == (409, "tunnel.exists")
    _, body = stranger.read(stranger.tid, stranger.headers(stranger.device))
    assert body == {"state": "open", "messages": [{"number": 1, "slot": "offer", "blob": "b2ZmZXI="}]}


def test_a_message_is_stored_once(stranger: Stranger) -> None:
    answers = [stranger.post(message()), stranger.post(message()), stranger.post(message(blob=b"other"))]
    assert [answer.status_code for answer in answers] == [201, 200, 409]
    assert answers[2].json()["code"] == "api.slot"


def test_every_bad_token_gets_one_answer_whether_or_not_the_tunnel_exists(
    stranger: Stranger, clock: ManualClock
) -> None:
    revoked = create_token(stranger.api.store, name="gone", clock=clock).reveal()
    revoke_token(stranger.api.store, name="gone", clock=clock)
    other = stranger.offer() | {"device_token_sha256": hashlib.sha256(b"of another tunnel").hexdigest()}
    stranger.http.put(f"/v1/tunnels/{secrets.token_hex(16)}", json=other).raise_for_status()
    bad: list[dict[str, Any]] = [
        {},
        {"Authorization": "Bearer"},
        stranger.headers("wrong"),
        stranger.headers(revoked),
        stranger.headers(revoked, stranger.claim),
        stranger.headers("of another tunnel"),
        stranger.headers(b"\xff\xfe\x80" * 5),
        stranger.headers("x" * 12_000),
        {"Authorization": "Basic " + stranger.device},
        {"Authorization": stranger.device},
        {"Authorization": hashlib.sha256(stranger.device.encode()).hexdigest()},
    ]
    for headers in bad:
        for tid in (stranger.tid, secrets.token_hex(16)):
            assert stranger.read(tid, headers) == (401, BAD_TOKEN)
        assert stranger.post(message(), headers).json() == BAD_TOKEN
        assert stranger.http.get("/v1/tunnels", headers=headers).json() == BAD_TOKEN


def test_a_token_of_a_megabyte_is_cut_off_and_the_next_caller_served(stranger: Stranger) -> None:
    try:
        status = stranger.http.get("/v1/tunnels", headers=stranger.headers("x" * 1_000_000)).status_code
    except httpx.TransportError:
        status = 0  # the connection ended while we were still sending
    assert status in (0, 400)
    assert stranger.http.get("/healthz").json() == {"status": "ok"}


def test_a_token_of_an_ended_tunnel_is_a_bad_token(stranger: Stranger, clock: ManualClock) -> None:
    clock.advance(600)
    assert stranger.read(stranger.tid, stranger.headers(stranger.device)) == (401, BAD_TOKEN)


def test_half_of_the_admins_credentials_sees_what_nobody_has(stranger: Stranger, clock: ManualClock) -> None:
    token = create_token(stranger.api.store, name="Ann", clock=clock).reveal()
    halves = [
        stranger.headers(token),
        stranger.headers(token, b""),
        stranger.headers(token, secrets.token_bytes(32)),
        stranger.headers(token) | {"Support-Tunnel-Claim": "\x7f not base64 \t="},
        stranger.headers(None, stranger.claim),
    ]
    for headers in halves:
        for tid in (stranger.tid, secrets.token_hex(16)):
            assert stranger.read(tid, headers) == (404, UNKNOWN)
        answer = stranger.post(message("answer"), headers)
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)
        assert stranger.http.post(f"/v1/tunnels/{stranger.tid}/stop", headers=headers).json() == UNKNOWN
    assert stranger.read(stranger.tid, stranger.headers(token, stranger.claim))[0] == 200


@pytest.mark.parametrize(
    "tid",
    ["AB" * 16, "..%2f" + "ab" * 16, "ab" * 15, "ab" * 17, "' OR 1=1 --", "ab" * 16 + "%0a", "%00", "é" * 16, "a/b"],
)
def test_a_strange_id_is_an_unknown_one(tid: str, stranger: Stranger) -> None:
    assert stranger.read(tid, stranger.headers(stranger.device)) == (404, UNKNOWN)
    answer = stranger.http.put(f"/v1/tunnels/{tid}", json=stranger.offer())
    assert (answer.status_code, answer.json()) == (404, UNKNOWN)


@pytest.mark.parametrize(
    "change",
    [
        {"slot": "offer"},
        {"slot": None},
        {"blob": "not base64!"},
        {"blob": "bTM"},
        {"blob": "bTN="},
        {"blob": ""},
        {"blob": 1},
        {"more": 1},
    ],
)
def test_a_malformed_message_is_refused_without_repeating_it(change: dict[str, Any], stranger: Stranger) -> None:
    answer = stranger.post(message() | change)
    assert (answer.status_code, answer.json()["code"]) == (422, "api.request")
    assert set(answer.json()) == {"code", "message"}


@pytest.mark.parametrize("ttl", [0, -1, 86_401, 600.0, True, "600", None, 10**400])
def test_a_ttl_is_a_whole_number_of_seconds_up_to_a_day(ttl: Any, stranger: Stranger) -> None:
    answer = stranger.http.put(f"/v1/tunnels/{secrets.token_hex(16)}", json=stranger.offer() | {"ttl": ttl})
    assert answer.status_code == 422


@pytest.mark.parametrize("body", [b"[" * 20_000, b"\xff", b"", b"null", b'{"slot": NaN}', b"{}"])
def test_what_is_not_json_of_ours_is_a_client_error(body: bytes, stranger: Stranger) -> None:
    answer = stranger.http.post(
        f"/v1/tunnels/{stranger.tid}/messages",
        content=body,
        headers=stranger.headers(stranger.device) | {"Content-Type": "application/json"},
    )
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1e400", "wait=-1", "wait=nan", "after=99999999999999999999"]
)
def test_a_strange_query_is_a_client_error(query: str, stranger: Stranger) -> None:
    answer = stranger.http.get(
        f"/v1/tunnels/{stranger.tid}/messages?{query}", headers=stranger.headers(stranger.device)
    )
    assert answer.status_code == 422


def test_one_byte_too_many_is_too_many(stranger: Stranger) -> None:
    answer = stranger.post(message(blob=bytes(16 * 1024 + 1)))
    assert (answer.status_code, answer.json()["code"]) == (413, "api.size")
    assert stranger.post(message(blob=bytes(16 * 1024))).status_code == 201


def test_a_body_without_a_length_or_too_long_is_not_read(stranger: Stranger) -> None:
    path = f"/v1/tunnels/{stranger.tid}/messages"
    chunked = stranger.http.post(path, content=iter([b"{}"]), headers=stranger.headers(stranger.device))
    assert (chunked.status_code, chunked.json()["code"]) == (411, "api.length")
    assert talk(stranger.api, f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n") == "413"


def test_a_body_that_does_not_come_is_not_waited_for(stranger: Stranger) -> None:
    head = f"POST /v1/tunnels/{stranger.tid}/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    assert talk(stranger.api, head + '{"slot": "con') == "408"
    assert stranger.http.get("/healthz").status_code == 200


def talk(api: RunningApi, text: str) -> str:
    """Send bytes no HTTP library would, and return the status of the answer once the API has hung up."""
    host, port = api.url.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw, tls(api).wrap_socket(raw) as peer:
        peer.sendall(text.encode())
        received = b""
        while chunk := peer.recv(4096):
            received += chunk
    return received.split(b" ", 2)[1].decode()
