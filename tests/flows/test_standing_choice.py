"""Which server a tunnel is on, who else comes and by which ports: chosen, or refused before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support_tunnel.core.errors import UsageError
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.paths import Transport
from support_tunnel.core.tailnet import read_policy
from support_tunnel.flows.admin.create_server import Terms, create_server
from support_tunnel.flows.admin.record import STATE
from support_tunnel.flows.library import Library
from tests.flows.test_standing_play import HANA, HEADSCALE, everybody_stops
from tests.flows.world import World


@pytest.fixture
def world(make_world: Callable[..., World], library: Library) -> World:
    made = make_world(library=library, transports=HEADSCALE)
    made.has_standing()
    return made


def refused(world: World, *, require_own: Callable[[], None] = lambda: None, **asked: object) -> BaseException | None:
    device = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    certified = asked.pop("certified", False)
    given: dict[str, object] = {"server": world.server_kind, "helpers": world.helpers, **asked}

    def answer() -> object:
        assert world.code is not None
        return create_server(
            world.admin_ports(certifier=world.certifier if certified else None),
            world.code,
            Terms("Ann", **given),  # type: ignore[arg-type]  # as given
            read_aloud=print,
            require_own=require_own,
        )

    admin = world.turns.start(answer)
    world.turns.run(until=lambda: admin.ended)
    world.turns.kill(device)
    return admin.error


@pytest.mark.parametrize(
    ("transports", "asked", "code"),
    [
        (("wireguard",), {"server": "standing"}, "headscale.not-offered"),
        (("wireguard",), {"helpers": (HANA,)}, "helper.transport"),
        (HEADSCALE, {"helpers": (replace(HANA, name="Ann"),)}, "helper.names"),
        (HEADSCALE, {"helpers": (replace(HANA, name="ann"),)}, "helper.names"),
        (HEADSCALE, {"helpers": (HANA, replace(HANA, name="Hans"))}, "helper.names"),
        (HEADSCALE, {"helpers": (replace(HANA, name="Server"),)}, "helper.names"),
        (HEADSCALE, {"helpers": (HANA,), "certified": True}, "helper.organisation"),
        (HEADSCALE, {"only_ports": (80,)}, "scope.ports"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_made(
    make_world: Callable[..., World],
    library: Library,
    transports: tuple[Transport, ...],
    asked: dict[str, object],
    code: str,
) -> None:
    world = make_world(library=library, transports=transports)
    world.has_standing()
    error = refused(world, **asked)  # type: ignore[arg-type]  # as given
    assert isinstance(error, UsageError)
    assert error.code == code
    assert world.left_on_admin() == []
    assert world.standing_headscale.users == {}
    assert not world.mailbox_closed()


def test_a_machine_that_cannot_be_the_cloud_is_told_where_a_server_is_launched_after_all(
    make_world: Callable[..., World], library: Library
) -> None:
    def cannot() -> None:
        raise UsageError("cloud.linux-only", "not here")

    world = make_world(library=library)
    world.has_standing()
    error = refused(world, require_own=cannot)
    assert isinstance(error, UsageError)
    assert error.code == "cloud.linux-only"
    assert world.left_on_admin() == []
    assert not world.mailbox_closed()


def test_without_one_in_the_inventory_it_is_said_what_to_set(
    make_world: Callable[..., World], library: Library
) -> None:
    world = make_world(library=library, transports=HEADSCALE)
    error = refused(world, server="standing")
    assert isinstance(error, UsageError)
    assert error.code == "headscale.standing"
    assert "headscale_server" in error.next_step


def test_either_is_the_own_server_where_there_is_none_or_the_owner_offers_wireguard_alone(
    make_world: Callable[..., World], library: Library
) -> None:
    world = make_world(library=library)
    world.has_standing()
    _, admin = world.connect()
    assert admin.result.transport == "wireguard"
    assert world.left_on_standing() == []


def test_the_ports_are_narrowed_in_the_answer(world: World) -> None:
    world.wish = replace(world.wish, scope=Scope("shell", ports=(80, 8080)))
    world.owner_agrees()

    def answer() -> object:
        world.turns.wait(lambda: world.code is not None, 3600)
        assert world.code is not None
        return create_server(
            world.admin_ports(),
            world.code,
            Terms("Ann", server="standing", only_ports=(8080,)),
            read_aloud=world._read_aloud,
        )

    device, admin = world.turns.start(world.request), world.turns.start(answer)
    world.turns.run(device, admin)
    assert (device.error, admin.error) == (None, None)
    state = world.admin_vault.get(world.tunnel, STATE)
    assert state is not None
    assert AdminSession.load(state).answer.scope.ports == (8080,)


def test_a_server_of_its_own_lets_helpers_in_too(make_world: Callable[..., World], library: Library) -> None:
    world = make_world(library=library, transports=("wireguard", "headscale"))
    world.helpers = (HANA,)
    _, admin = world.connect()
    (invited,) = admin.result.invitations
    address = world.ledger.entries()[0].server_address
    assert (invited.address, invited.control) == ("fd7a:115c:a1e0::2", f"https://{address}:443")
    assert world.headscale.policy is not None
    assert read_policy(world.headscale.policy.text)[0].helpers == ("hana", "server")
    world.headscale.join(invited.key, "hana")
    everybody_stops(world)
    assert world.left() == []
    assert world.headscale.nodes == {}
