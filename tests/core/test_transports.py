"""What a request may offer of transports: 02, 2.15."""

from __future__ import annotations

import pytest

from support_tunnel.core.errors import UsageError
from support_tunnel.core.transports import transports


@pytest.mark.parametrize(
    ("wish", "pq", "offered"),
    [
        ("wireguard", "require", ("wireguard",)),
        ("wireguard", "prefer", ("wireguard",)),
        ("auto", "require", ("wireguard", "wireguard-443")),
        ("auto", "prefer", ("wireguard", "wireguard-443", "headscale")),
        ("headscale", "prefer", ("headscale",)),
    ],
)
def test_what_is_offered(wish: str, pq: str, offered: tuple[str, ...]) -> None:
    assert transports(wish, pq) == offered


def test_require_refuses_headscale_with_the_reason_and_the_way_on() -> None:
    with pytest.raises(UsageError) as caught:
        transports("headscale", "require")
    assert caught.value.code == "transport.pq"
    assert "post-quantum" in caught.value.message
    assert "--pq prefer" in caught.value.next_step


@pytest.mark.parametrize(("wish", "pq"), [("tailscale", "prefer"), ("", "prefer"), ("auto", "never"), ("auto", "")])
def test_other_words(wish: str, pq: str) -> None:
    with pytest.raises(UsageError) as caught:
        transports(wish, pq)
    assert caught.value.code == "usage.transport"
