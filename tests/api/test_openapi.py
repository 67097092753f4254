"""The OpenAPI document is true: a real server holds to it, whatever is asked (P13), and its page loads nothing."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from support_tunnel.api.page import render
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.store import Put
from support_tunnel.api.tokens import RIGHTS, create_token
from support_tunnel.core.names import TunnelId
from support_tunnel.testing.clock import ManualClock


@pytest.fixture
def api(run_api: Callable[..., RunningApi]) -> RunningApi:
    return run_api(plain=True)


@pytest.fixture
def document(api: RunningApi) -> Any:
    return schemathesis.openapi.from_url(f"{api.url}/openapi.json")


@pytest.fixture
def insider(api: RunningApi, clock: ManualClock) -> tuple[TunnelId, dict[str, str]]:
    """A tunnel and all that its admin knows. Closed, so that no read of it is held for a message to come."""
    token, claim = create_token(api.store, name="Ann", rights=RIGHTS, clock=clock), secrets.token_bytes(32)
    tunnel = TunnelId(secrets.token_hex(16))
    api.store.put(Put(tunnel, b"offer", bytes(32), sha256(claim).digest(), 86_400), clock.now())
    api.store.close_tunnel(tunnel, clock.now())
    return tunnel, {
        "Authorization": f"Bearer {token.reveal()}",
        "Support-Tunnel-Claim": b64encode(claim).decode(),
    }


# Not the rest: a claim without a token has to look like an unknown tunnel (test 30), and the insider's credentials
# replace the malformed ones that the tool would see refused.
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
OPERATIONS = (
    "GET /healthz",
    "GET /metrics",
    "GET /v1/tunnels",
    "PUT /v1/tunnels/{tid}",
    "GET /v1/tunnels/{tid}/messages",
    "POST /v1/tunnels/{tid}/messages",
    "POST /v1/tunnels/{tid}/stop",
)


def test_every_route_is_documented_and_tried(document: Any) -> None:
    paths = document.raw_schema["paths"]
    assert sorted(f"{method.upper()} {path}" for path in paths for method in paths[path]) == sorted(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_whatever_is_asked_the_answer_is_a_documented_one(
    operation: str, document: Any, insider: tuple[TunnelId, dict[str, str]]
) -> None:
    method, path = operation.split()
    tunnel, credentials = insider
    asked = document[path][method].as_strategy()
    if "{tid}" in path:  # elsewhere is nothing that could be malformed
        asked |= document[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=asked, inside=st.booleans())
    def hold(case: Any, inside: bool) -> None:
        if inside and "{tid}" in path:
            case.path_parameters["tid"] = tunnel
        answer = case.call(headers=credentials if inside else None)
        if answer.status_code == 400 and answer.text == "Invalid HTTP request received.":
            return  # the HTTP parser's word, before our code (docs/api.md, Limits)
        case.validate_response(answer, checks=list(CHECKS))

    hold()


class Loads(HTMLParser):
    """Collect whatever would make a browser fetch or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if (
            tag in ("script", "link", "img", "iframe", "object", "embed")
            or names & {"src", "style"}
            or any(name.startswith("on") for name in names)
        ):
            self.found.append(tag)

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style" and not self.style:
            self.style = data


def test_the_page_loads_nothing_and_says_so(api: RunningApi) -> None:
    answer = httpx.get(f"{api.url}/docs", trust_env=False)
    page = Loads()
    page.feed(answer.text)
    policy = answer.headers["content-security-policy"]
    assert answer.headers["content-type"].startswith("text/html")
    assert page.found == []
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{b64encode(sha256(page.style.encode()).digest()).decode()}'" in policy
    assert not re.findall(r"url\(|@import|https?:", answer.text)
    for operation in OPERATIONS:
        assert f"<code>{operation}</code></h2>" in answer.text


def test_the_page_is_read_from_its_top_on_a_phone_too(api: RunningApi) -> None:
    text = httpx.get(f"{api.url}/docs", trust_env=False).text
    anchors = re.findall(r'<a href="#([^"]+)">', text)
    assert anchors == re.findall(r'<h2 id="([^"]+)">', text)
    assert len(set(anchors)) == len(OPERATIONS)
    assert anchors[0].startswith("put-v1-tunnels"), "what the service is for comes before what watches it"
    assert 'name="viewport"' in text
    assert "`" not in text
    assert "<code>Retry-After</code>" in text


def test_the_page_escapes_what_the_document_says() -> None:
    hostile = "<script>alert(1)</script>"
    operation = {"description": hostile, "responses": {"200": {"description": hostile}}}
    document = {
        "info": {"title": hostile, "version": hostile, "description": hostile},
        "paths": {f"/{hostile}": {"get": operation}},
    }
    assert "<script>" not in render(document)


def test_the_page_and_the_document_need_no_token_and_give_examples(api: RunningApi) -> None:
    document = httpx.get(f"{api.url}/openapi.json", trust_env=False).json()
    paths = document["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            assert operation["description"], f"{method} {path}"
            assert ("security" in operation) == (f"{method} {path}" not in ("get /healthz", "put /v1/tunnels/{tid}"))
    fields = [
        one for name in ("Open", "Post", "Tunnel", "Message", "Messages", "Problem")
        for one in document["components"]["schemas"][name]["properties"].values()
    ]  # fmt: skip
    assert [one for one in fields if not any(key in one for key in ("description", "examples", "items", "enum"))] == []
