"""Several ways in one answer, on fakes: tried in order, each failure said, the next one taken, and no more opened than they need."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support_tunnel.core.errors import HostError
from support_tunnel.flows.admin import create_server
from support_tunnel.flows.admin.coordinate import JOIN_SECONDS
from support_tunnel.flows.admin.launch import server_variables
from support_tunnel.flows.admin.own_server import set_up
from support_tunnel.flows.admin.record import load_reached
from support_tunnel.flows.library import Library
from tests.flows.test_headscale_play import ways_of
from tests.flows.world import World


@pytest.fixture
def auto(make_world: Callable[..., World], library: Library) -> World:
    return make_world(library=library, transports=("wireguard", "wireguard-443", "headscale"))


def test_auto_takes_wireguard_where_it_gets_through(auto: World) -> None:
    device, admin = auto.connect()
    assert (device.result.opened.transport, admin.result.transport) == ("wireguard", "wireguard")
    assert auto.door.hops[auto.tunnel].device_address.startswith("fd")
    assert auto.door.hops[auto.tunnel].device_address != "fd7a:115c:a1e0::2"
    assert [node.name for node in auto.headscale.nodes.values()] == ["node--h-"], "the device did not join"
    assert not [note for note in auto.notes.notes if note.startswith("Not ")]
    assert (device.result.opened.way, admin.result.way) == ("udp", "udp")


@pytest.mark.parametrize("transports", [("wireguard", "wireguard-443"), ("wireguard", "wireguard-443", "headscale")])
def test_auto_takes_udp_443_where_the_servers_own_port_gets_no_answer(
    make_world: Callable[..., World], library: Library, transports: tuple[str, ...]
) -> None:
    world = make_world(library=library, transports=transports)
    world.device.blocks_wireguard = 1
    device, admin = world.connect()
    own, second = (path.port for path in ways_of(world)[:2])
    assert (20_000 <= own < 60_000, second) == (True, 443)
    assert [note for note in world.notes.notes if note.startswith("Not ")] == [
        f"Not by WireGuard on UDP {own}: no answer in 8 s. Now by WireGuard on UDP 443."
    ]
    for told in (device.result.opened, admin.result):
        assert (told.transport, told.way) == ("wireguard", "udp-443")
    assert device.result.opened.how == "by WireGuard on UDP 443"
    everybody_stops(world)
    assert world.left() == []


def test_with_pq_require_auto_asks_for_no_headscale(make_world: Callable[..., World], library: Library) -> None:
    world = make_world(library=library, transports=("wireguard", "wireguard-443"))
    world.connect()
    assert [path.transport for path in ways_of(world)] == ["wireguard", "wireguard"]
    assert (world.headscale.api_keys, world.headscale.nodes) == ({}, {})


@pytest.mark.parametrize(
    ("offered", "variables"),
    [
        (("wireguard",), (True, 0)),
        (("wireguard", "wireguard-443"), (True, 443)),
        (("wireguard", "headscale"), (True, 0)),
        (("headscale",), (False, 0)),
    ],
)
def test_the_server_opens_what_the_answer_names(
    make_world: Callable[..., World], library: Library, offered: tuple[str, ...], variables: tuple[bool, int]
) -> None:
    world = make_world(library=library, transports=offered)
    world.connect()
    (entry,), reached = world.ledger.entries(), load_reached(world.admin_vault, world.tunnel)
    assert reached is not None
    given = server_variables(entry, reached)
    assert (given["tunnel_server_by_wireguard"], given["tunnel_server_second_port"]) == variables
    assert bool(given["tunnel_server_headscale_device_address"]) == ("headscale" in offered)


@pytest.mark.parametrize(("way", "words"), [("direct", "directly by UDP"), ("relay", "by its relay: UDP does not")])
def test_auto_says_why_wireguard_did_not_do_and_how_it_goes_instead(auto: World, way: str, words: str) -> None:
    auto.device.blocks_wireguard, auto.device.way = 2, way
    device, admin = auto.connect()
    own = ways_of(auto)[0].port
    assert [note for note in auto.notes.notes if note.startswith("Not ")] == [
        f"Not by WireGuard on UDP {own}: no answer in 8 s. Now by WireGuard on UDP 443.",
        "Not by WireGuard on UDP 443: no answer in 8 s. Now through a Headscale server.",
    ]
    assert (device.result.opened.way, admin.result.way) == (way, "direct"), "each says what it sees itself"
    assert words in device.result.opened.how
    assert admin.result.transport == "headscale"
    assert auto.door.hops[auto.tunnel].device_address == "fd7a:115c:a1e0::2"
    opened = [line for line in auto.notes.notes if line.startswith("Connected ")]
    assert opened == [f"Connected {device.result.opened.how}."]
    everybody_stops(auto)
    assert auto.left() == []


def too_late(world: World) -> None:
    """The owner takes longer than the join key lives, and says yes."""

    def slowly(question: str) -> str:
        world.manual.advance(JOIN_SECONDS + 1)
        return "yes"

    world.owner_says(lambda _: world.digits, slowly)


@pytest.mark.parametrize("blocked", [0, 1])
def test_a_key_that_is_too_old_keeps_nobody_from_wireguard(auto: World, blocked: int) -> None:
    auto.device.blocks_wireguard = blocked
    too_late(auto)
    device, admin = auto.turns.start(auto.request), auto.turns.start(auto.answer)
    auto.turns.run(device, admin)
    assert (device.error, admin.error) == (None, None)
    assert device.result.opened.way == ("udp", "udp-443")[blocked]


def test_where_only_headscale_is_left_a_key_that_is_too_old_is_said_plainly(auto: World) -> None:
    auto.device.blocks_wireguard = 2
    too_late(auto)
    device, admin = auto.turns.start(auto.request), auto.turns.start(auto.answer)
    auto.turns.run(device, admin)
    assert isinstance(device.error, HostError)
    assert device.error.code == "headscale.late"
    assert len([note for note in auto.notes.notes if note.startswith("Not by WireGuard on UDP")]) == 2
    assert auto.left() == []


def test_when_no_way_gets_through_nothing_is_open_and_each_is_named(auto: World) -> None:
    auto.device.blocks_wireguard, auto.device.way = 2, ""
    auto.owner_agrees()
    device, admin = auto.turns.start(auto.request), auto.turns.start(auto.answer)
    auto.turns.run(device, admin)
    assert isinstance(device.error, HostError)
    assert isinstance(admin.error, HostError)
    assert "opened" not in auto.events()
    assert auto.left() == []


def test_an_answer_may_name_headscale_first(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another tool's order, and the real roles: the way that is up is not joined a second time with its used key."""
    auto = make_world(transports=("wireguard", "wireguard-443", "headscale"))
    ours = set_up
    monkeypatch.setattr(create_server, "set_up", lambda *given: (lambda got: (got[0], got[1][::-1]))(ours(*given)))
    device, admin = auto.connect()
    assert (device.result.opened.transport, admin.result.transport) == ("headscale", "headscale")


def test_an_admin_without_the_programs_answers_auto_by_wireguard_alone(auto: World) -> None:
    auto.programs = None
    device, _ = auto.connect()
    assert device.result.opened.transport == "wireguard"
    assert auto.headscale.api_keys == {}


def everybody_stops(world: World) -> None:
    world.turns.run(world.turns.start(world.stop_by_admin))
    world.turns.run()
