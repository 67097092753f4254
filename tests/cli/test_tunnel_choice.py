"""Which tunnel an owner means: the one that is named, or the only one that waits; never one of several."""

from __future__ import annotations

import pytest

from support_tunnel.cli.device.tunnel_choice import the_one
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.names import TunnelId

FIRST, SECOND = TunnelId("1a2b3c4d" * 4), TunnelId("5e6f7a8b" * 4)


def test_the_only_one_that_waits_needs_no_name() -> None:
    assert the_one("", [FIRST, SECOND], [SECOND]) == SECOND


@pytest.mark.parametrize("given", ["1a2b3c4d", "1A2B3C4D", FIRST])
def test_one_that_is_named_is_taken_whatever_waits(given: str) -> None:
    assert the_one(given, [FIRST, SECOND], [SECOND]) == FIRST


@pytest.mark.parametrize(
    ("given", "waiting", "code", "said"),
    [
        ("", [], "request.none", "no request"),
        ("", [FIRST, SECOND], "request.several", "1a2b3c4d, 5e6f7a8b"),
        ("99999999", [FIRST], "tunnel.unknown", "99999999"),
        ("zz", [FIRST], "tunnel.id", "hex"),
    ],
)
def test_nothing_is_guessed(given: str, waiting: list[TunnelId], code: str, said: str) -> None:
    with pytest.raises(SupportTunnelError) as refused:
        the_one(given, [FIRST, SECOND], waiting)
    assert refused.value.code == code
    assert said in refused.value.message
