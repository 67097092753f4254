"""A server that exists already: the tunnel logs in as its keeper lets it, and knows in a later process still that it is a guest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import CloudError, HostError
from support_tunnel.core.ports import Completed, ThroughServer
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.people import Helper
from support_tunnel.desired import guest
from support_tunnel.flows.admin.record import LOGIN_KEY, load_reached
from support_tunnel.flows.library import Library
from tests.flows.hosts import CloudConnector
from tests.flows.kept import LOGIN, PUBLIC
from tests.flows.test_headscale_play import ways_of
from tests.flows.test_resume import answered_and_killed, resumed, stage
from tests.flows.world import World

NO_HEADSCALE = "a server that others keep is made no Headscale server. Answering by WireGuard alone."


def test_the_tunnel_is_a_guest_from_its_first_login_to_its_last(world: World) -> None:
    world.has_kept_server()
    world.owner_agrees()
    connector = CloudConnector(world.server, world.device.cloud)
    device, admin = world.turns.start(world.request), world.turns.start(lambda: world.answer(connector=connector))
    world.turns.run(device, admin)
    assert (device.error, admin.error) == (None, None)

    assert {(login.user, login.host_key) for login in connector.logins} == {("ops", PUBLIC)}
    scripts = [script.reveal() for script in world.server.scripts if "st_step" in script.reveal()]
    journal = f"st_journal={guest.journal(world.tunnel[:8])}"
    assert scripts
    for script in scripts:
        assert journal in script, "whatever is changed there is recorded, the peer too"
        assert "poweroff" not in script
    reached = load_reached(world.admin_vault, world.tunnel)
    assert reached is not None
    assert (reached.guest_as, reached.user, reached.host_key) == ("ops", "ops", PUBLIC)
    through = world.door.hops[world.tunnel].through
    assert isinstance(through, ThroughServer)
    assert (through.user, through.host_key) == ("ops", PUBLIC)
    kept = world.admin_vault.get(world.tunnel, LOGIN_KEY)
    assert kept is not None
    assert kept.reveal() == LOGIN.private_key.reveal().strip().encode() + b"\n", "ssh reads no key without a line's end"

    world.turns.start(world.stop_by_admin)
    world.turns.run()
    assert world.left() == []


def test_an_answer_that_was_broken_off_goes_on_by_the_keepers_login(world: World) -> None:
    world.has_kept_server()
    device = answered_and_killed(world)
    connector = CloudConnector(world.server, world.device.cloud)
    again = resumed(world, connector=connector)
    world.turns.run(again, device)
    assert (again.error, device.error, stage(world)) == (None, None, "connected")
    (login,) = connector.logins
    assert (login.address, login.user, login.host_key) == ("192.0.2.10", "ops", PUBLIC)
    through = world.door.hops[world.tunnel].through
    assert isinstance(through, ThroughServer)
    assert (through.address, through.user, through.host_key) == ("192.0.2.10", "ops", PUBLIC)
    world.turns.start(world.stop_by_admin)
    world.turns.run()
    assert world.left() == []


class NotRoot:
    """A login whose sudo asks for a password."""

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        return Completed(1, "", "sudo: a password is required\n")


@pytest.mark.parametrize(
    "ask",
    [
        lambda shell: guest.tunnels(shell),
        lambda shell: guest.require_fit(shell, most=5),
        lambda shell: guest.claim(shell, {"st-tunnel": "5a" * 16}, [31_000], expires=1, lifetime=1, most=5),
    ],
    ids=["list", "doctor", "claim"],
)
def test_a_login_that_may_not_become_root_is_told_that_it_has_to(ask: Callable[[Any], object]) -> None:
    with pytest.raises(HostError) as refused:
        ask(NotRoot())
    assert "a password is required" in refused.value.message
    assert "sudo without a password" in refused.value.next_step


def test_auto_is_answered_by_wireguard_alone_and_that_is_said(
    make_world: Callable[..., World], library: Library
) -> None:
    world = make_world(library=library, transports=("wireguard", "wireguard-443", "headscale"))
    world.has_kept_server()
    world.device.blocks_wireguard = 1
    device, admin = world.connect()
    assert [path.transport for path in ways_of(world)] == ["wireguard", "wireguard"]
    assert (device.result.opened.transport, admin.result.way) == ("wireguard", "udp-443")
    assert [note for note in world.notes.notes if NO_HEADSCALE in note] != []
    assert (world.headscale.api_keys, world.headscale.nodes) == ({}, {})

    nobody_needs_it = make_world(library=library)
    nobody_needs_it.has_kept_server()
    nobody_needs_it.connect()
    assert [note for note in nobody_needs_it.notes.notes if NO_HEADSCALE in note] == []


@pytest.mark.parametrize("helped", [False, True], ids=["headscale alone", "helpers"])
def test_what_needs_a_headscale_server_is_refused_before_anything_is_made(
    make_world: Callable[..., World], library: Library, helped: bool
) -> None:
    offered = ("wireguard", "headscale") if helped else ("headscale",)
    world = make_world(library=library, transports=offered)
    world.has_kept_server()
    if helped:
        world.helpers = (Helper("Hana", ssh_key.new_keypair("hana")[1]),)
    world.owner_agrees()
    world.turns.start(world.request)
    admin = world.turns.start(world.answer)
    world.turns.run(admin)
    assert isinstance(admin.error, CloudError)
    assert admin.error.code == "cloud.wireguard-only"
    assert world.left_on_admin() == []
    assert world.server.scripts == []
