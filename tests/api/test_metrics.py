"""What the service counts: right numbers, in a form that Prometheus takes, and nothing about anybody."""

from __future__ import annotations

import re
import secrets
import threading
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

import httpx
import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.api.metrics import Metrics
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.store import Counts
from support_tunnel.api.tokens import create_token
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.clock import ManualClock

LINE = re.compile(r'(#.*|support_tunnel_[a-z_]+(\{([a-z]+="[^"\\]*",?)+\})? -?[0-9.]+)')


@pytest.fixture
def api(run_api: Callable[..., RunningApi]) -> RunningApi:
    return run_api(plain=True, requests_per_minute=60)


@pytest.fixture
def watcher(api: RunningApi, clock: ManualClock) -> dict[str, str]:
    token = create_token(api.store, name="prometheus", rights={"metrics"}, clock=clock)
    return {"Authorization": f"Bearer {token.reveal()}"}


def scrape(api: RunningApi, watcher: dict[str, str]) -> str:
    """Ask from another loopback address than the rest, so that it has a budget of its own."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as http:
        answer = http.get(f"{api.url}/metrics", headers=watcher)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def value(text: str, name: str) -> float:
    (found,) = re.findall(rf"^{re.escape(name)} ([0-9.]+)$", text, re.MULTILINE)
    return float(found)


def test_it_counts_what_happened_and_tells_of_nobody(api: RunningApi, watcher: dict[str, str]) -> None:
    tid, device, claim = secrets.token_hex(16), secrets.token_urlsafe(32), secrets.token_bytes(32)
    offer = {
        "offer": b64encode(b"offer").decode(),
        "device_token_sha256": sha256(device.encode()).hexdigest(),
        "claim_sha256": sha256(claim).hexdigest(),
        "ttl": 600,
    }
    own = {"Authorization": f"Bearer {device}"}
    with httpx.Client(base_url=api.url, trust_env=False) as http:
        for _ in range(2):
            http.put(f"/v1/tunnels/{tid}", json=offer)
        for blob in ("bTM=", "bTM=", "bTQ="):
            http.post(f"/v1/tunnels/{tid}/messages", json={"slot": "confirm", "blob": blob}, headers=own)
        http.get("/v1/tunnels", headers=own)
        http.get(f"/strange/{tid}")
        text = scrape(api, watcher)
        http.post(f"/v1/tunnels/{tid}/stop", headers=own)
    assert value(text, 'support_tunnel_tunnels{state="open"}') == 1
    assert value(text, 'support_tunnel_messages_total{slot="offer"}') == 1
    assert value(text, 'support_tunnel_messages_total{slot="confirm"}') == 1
    assert value(text, 'support_tunnel_refusals_total{code="api.slot"}') == 1
    assert value(text, 'support_tunnel_refusals_total{code="api.token"}') == 1
    assert value(text, 'support_tunnel_refusals_total{code="tunnel.unknown"}') == 1
    messages = 'method="POST",route="/v1/tunnels/{tid}/messages"'
    assert value(text, f"support_tunnel_request_seconds_count{{{messages}}}") == 3
    assert value(text, f'support_tunnel_request_seconds_bucket{{{messages},le="+Inf"}}') == 3
    assert value(text, 'support_tunnel_request_seconds_count{method="other",route="other"}') == 1
    after = scrape(api, watcher)
    assert value(after, 'support_tunnel_tunnels{state="open"}') == 0
    assert value(after, 'support_tunnel_tunnels{state="closed"}') == 1
    for private in (tid, device, "127.0.0.1", "prometheus", "strange"):
        assert private not in text


def test_a_flood_is_counted_too(api: RunningApi, watcher: dict[str, str]) -> None:
    text = scrape(api, watcher)
    assert "api.busy" not in text
    flood = [httpx.get(f"{api.url}/healthz", trust_env=False).status_code for _ in range(61)]
    assert flood.count(429) == 1
    assert value(scrape(api, watcher), 'support_tunnel_refusals_total{code="api.busy"}') == 1


def test_a_waiting_reader_is_seen_and_forgotten(api: RunningApi, watcher: dict[str, str]) -> None:
    tid, device = secrets.token_hex(16), secrets.token_urlsafe(32)
    hashes = {"device_token_sha256": sha256(device.encode()).hexdigest(), "claim_sha256": "00" * 32}
    own = {"Authorization": f"Bearer {device}"}
    path = f"{api.url}/v1/tunnels/{tid}"
    httpx.put(path, json={"offer": "bTE=", "ttl": 600, **hashes}, trust_env=False)

    def wait_long() -> None:
        httpx.get(f"{path}/messages?after=1&wait=25", headers=own, trust_env=False, timeout=60)

    def waiting() -> float:
        return value(scrape(api, watcher), "support_tunnel_waiting_polls")

    reader = threading.Thread(target=wait_long)
    reader.start()
    wait_for(lambda: waiting() == 1 or None, what="the reader", seconds=30, clock=SystemClock())
    httpx.post(f"{path}/stop", headers=own, trust_env=False)
    reader.join()
    assert waiting() == 0


@pytest.mark.parametrize("rights", [{"answer", "list"}, None])
def test_numbers_need_a_token_with_that_right(rights: set[str] | None, api: RunningApi, clock: ManualClock) -> None:
    shown = {}
    if rights:
        token = create_token(api.store, name="Ann", rights=rights, clock=clock)
        shown = {"Authorization": f"Bearer {token.reveal()}"}
    answer = httpx.get(f"{api.url}/metrics", headers=shown, trust_env=False)
    assert answer.status_code == (403 if rights else 401)
    assert answer.json()["code"] == "api.token"


def test_the_watcher_may_do_nothing_else(api: RunningApi, watcher: dict[str, str]) -> None:
    assert httpx.get(f"{api.url}/v1/tunnels", headers=watcher, trust_env=False).status_code == 403


def test_every_line_is_prometheus_and_buckets_only_grow() -> None:
    metrics = Metrics()
    for seconds in (0.0, 0.005, 0.3, 31.0, 31.0):
        metrics.observe("GET", "/v1/tunnels", seconds)
    metrics.messages["answer"] += 2
    text = metrics.render(Counts(1, 2))
    assert [line for line in text.splitlines() if not LINE.fullmatch(line)] == []
    buckets = [int(count) for count in re.findall(r"_bucket\{.*\} (\d+)", text)]
    assert buckets == [2, 2, 2, 3, 3, 3, 3, 5]
    assert "support_tunnel_request_seconds_sum{" in text
    assert 'le="+Inf"} 5' in text
