"""Rate limits hit the one who floods and nobody else, and a forged header does not change who that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from support_tunnel.adapters.tls_pin import parse_fingerprint, pinned_context
from support_tunnel.api.serve import RunningApi


def client(api: RunningApi, address: str) -> httpx.Client:
    tls = pinned_context(parse_fingerprint(api.fingerprint or ""))
    return httpx.Client(
        base_url=api.url, transport=httpx.HTTPTransport(verify=tls, local_address=address, trust_env=False)
    )


def test_a_flood_is_answered_429_with_a_time_and_others_are_served(run_api: Callable[..., RunningApi]) -> None:
    api = run_api(requests_per_minute=20)
    with client(api, "127.0.0.2") as flood, client(api, "127.0.0.3") as other:
        answers = [
            flood.get("/healthz", headers={"X-Forwarded-For": f"203.0.113.{n}", "Forwarded": f"for=203.0.113.{n}"})
            for n in range(30)
        ]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 10
        assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in answers[20:])
        assert answers[-1].json()["code"] == "api.busy"
        assert other.get("/healthz").status_code == 200


def test_a_thousand_requests_at_once_from_one_address_keep_nobody_else_out(run_api: Callable[..., RunningApi]) -> None:
    """As fast as eight connections can, with another address forged in each; a second client asks all the while."""
    api = run_api(requests_per_minute=50)

    def flood(lane: int) -> list[int]:
        with client(api, "127.0.0.2") as http:
            return [
                http.get("/v1/tunnels", headers={"X-Forwarded-For": f"198.51.100.{lane}, 203.0.113.{n}"}).status_code
                for n in range(125)
            ]

    with ThreadPoolExecutor(8) as lanes, client(api, "127.0.0.3") as other:
        floods = [lanes.submit(flood, lane) for lane in range(8)]
        served = [other.get("/healthz").status_code]
        while not all(each.done() for each in floods) and len(served) < 40:
            served.append(other.get("/healthz").status_code)
        answers = Counter(status for each in floods for status in each.result())
    assert answers == {401: 50, 429: 950}
    assert len(served) > 1
    assert set(served) == {200}


def test_a_configured_proxy_speaks_for_its_clients_and_only_it_does(run_api: Callable[..., RunningApi]) -> None:
    api = run_api(requests_per_minute=2, trusted_proxies=("127.0.0.2",))

    def statuses(proxy: httpx.Client, forwarded: str) -> list[int]:
        return [proxy.get("/healthz", headers={"X-Forwarded-For": forwarded}).status_code for _ in range(3)]

    with client(api, "127.0.0.2") as proxy, client(api, "127.0.0.3") as liar:
        assert statuses(proxy, "203.0.113.1") == [200, 200, 429]
        assert statuses(proxy, "203.0.113.2") == [200, 200, 429]
        assert statuses(proxy, "2001:db8::1") == [200, 200, 429]
        assert statuses(proxy, "2001:db8::2") == [429, 429, 429]  # the same /64
        assert statuses(liar, "203.0.113.3") == [200, 200, 429]
        assert statuses(liar, "203.0.113.4") == [429, 429, 429]


def test_opening_has_a_budget_of_its_own(run_api: Callable[..., RunningApi]) -> None:
    api = run_api(opens_per_hour=1)
    with client(api, "127.0.0.2") as http:
        assert [http.put("/v1/tunnels/x", json={}).status_code for _ in range(2)] == [404, 429]
        assert http.get("/healthz").status_code == 200
