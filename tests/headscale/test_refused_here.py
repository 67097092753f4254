"""Addresses, keys and pins that the client refuses before it opens a connection."""

from __future__ import annotations

import pytest

from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.adapters.headscale.line import Trust
from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock

KEY = Secret("hskey-api-" + "k" * 12 + "-" + "s" * 64)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://headscale.example", "headscale.plain"),
        ("http://localhost:1", "headscale.plain"),
        ("ftp://headscale.example", "headscale.url"),
        ("https://", "headscale.url"),
        ("https://user@headscale.example", "headscale.url"),
        ("https://headscale.example?x=1", "headscale.url"),
        ("https://headscale.example:port", "headscale.url"),
    ],
)
def test_an_address_is_judged_before_a_key_goes_there(url: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        HeadscaleClient(url, key=KEY, clock=ManualClock())
    assert caught.value.code == code


@pytest.mark.parametrize("key", ["", "short", "a b" * 10, "x" * 30 + "\r\nHost: other", "x" * 300])
def test_what_cannot_be_a_key_becomes_no_header(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        HeadscaleClient("https://headscale.example", key=Secret(key), clock=ManualClock())
    assert caught.value.code == "headscale.key"


@pytest.mark.parametrize(
    ("trust", "code"),
    [
        (Trust(fingerprint="12"), "api.fingerprint"),
        (Trust(authority="not PEM"), "api.authority"),
        (Trust(authority=""), "api.authority"),
        (Trust(fingerprint="00" * 32, authority="x"), "headscale.trust"),
    ],
)
def test_a_pin_that_pins_nothing_is_refused(trust: Trust, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        HeadscaleClient("https://headscale.example", key=KEY, clock=ManualClock(), trust=trust)
    assert caught.value.code == code
