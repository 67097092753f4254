"""Files and ports from the admin's side: refused here already unless the owner offered them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.scope import Scope
from support_tunnel.flows.admin import reach
from support_tunnel.flows.device.let_in import Connected
from support_tunnel.flows.device.request import Wish
from support_tunnel.flows.device.request_and_connect import request_and_connect
from tests.flows.world import PATIENCE, TTL, World

OFFER = Scope("shell", ports=(8080, 631), files=True)


def connected(world: World, scope: Scope) -> World:
    def request() -> Connected:
        wish = Wish(scope=scope, ttl=TTL, name="kiosk", patience=PATIENCE)
        return request_and_connect(world.device_ports(), wish, keeper=("/bin/keeper",), hand_over=world._hand_over)

    world.owner_agrees()
    device, admin = world.turns.start(request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert (device.error, admin.error) == (None, None)
    return world


def test_what_was_offered_is_granted_and_used(world: World) -> None:
    ports = connected(world, OFFER).admin_ports()
    assert reach.granted(ports, world.tunnel) == OFFER
    assert reach.put(ports, world.tunnel, "/here/a file", "", replace=False) == "a file"
    assert reach.put(ports, world.tunnel, "b", "/srv/", replace=True) == "/srv/b"
    assert reach.fetch(ports, world.tunnel, "/var/log/syslog", "", replace=False) == "syslog"
    opened: list[bool] = []
    reach.forward(ports, world.tunnel, 631, 6310, opened=lambda: opened.append(True))
    assert opened == [True]
    assert world.door.commands == [
        "put /here/a file a file",
        "put b /srv/b over it",
        "fetch /var/log/syslog syslog",
        "forward 631 6310",
    ]


@pytest.mark.parametrize(
    ("offer", "act", "code"),
    [
        (Scope("shell", ports=(80,)), lambda p, t: reach.put(p, t, "a", "", replace=False), "scope.files"),
        (Scope("shell", ports=(80,)), lambda p, t: reach.fetch(p, t, "a", "", replace=False), "scope.files"),
        (Scope("shell", ports=(80,)), lambda p, t: reach.forward(p, t, 81, 81, opened=lambda: None), "scope.ports"),
        (Scope("shell", files=True), lambda p, t: reach.forward(p, t, 80, 80, opened=lambda: None), "scope.ports"),
        (OFFER, lambda p, t: reach.fetch(p, t, "..", "", replace=False), "file.name"),
        (OFFER, lambda p, t: reach.put(p, t, "/", "/srv/", replace=False), "file.name"),
    ],
)
def test_what_was_not_offered_reaches_no_door(
    world: World, offer: Scope, act: Callable[[object, TunnelId], object], code: str
) -> None:
    connected(world, offer)
    with pytest.raises(UsageError) as refused:
        act(world.admin_ports(), world.tunnel)
    assert refused.value.code == code
    assert world.door.commands == []


def test_only_a_connected_tunnel_of_this_machine_has_a_door(world: World) -> None:
    with pytest.raises(WrongState) as refused:
        reach.granted(world.admin_ports(), TunnelId("0" * 32))
    assert refused.value.code == "tunnel.door"
    world.turns.start(world.request)
    world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.digits))
    with pytest.raises(WrongState):
        reach.granted(world.admin_ports(), world.tunnel)


@pytest.mark.parametrize(("text", "expected"), [("80", (80, 80)), ("80:8080", (80, 8080)), ("65535:1", (65535, 1))])
def test_a_forward_is_read(text: str, expected: tuple[int, int]) -> None:
    assert reach.parse_forward(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":", "0", "65536", "80:0", "80:80:80", "x", "80:-1", "\N{SUPERSCRIPT TWO}", " 80", "80: 81"]
)
def test_a_forward_that_is_none(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        reach.parse_forward(text)
    assert refused.value.code == "port.value"
