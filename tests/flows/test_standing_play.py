"""Both tools and a standing Headscale, all fakes: nothing is launched, who may reach whom, the helpers' keys, and the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import CoordinatorError, HostError
from support_tunnel.core.ports import ThroughOwnNode
from support_tunnel.core.st1.admin import AdminSession
from support_tunnel.core.st1.paths import HeadscalePath, Transport
from support_tunnel.core.st1.people import Helper
from support_tunnel.core.tailnet import Passage, read_policy
from support_tunnel.flows.admin.record import STATE
from support_tunnel.flows.admin.resume import resume
from support_tunnel.flows.library import Library
from tests.flows.turns import Job
from tests.flows.world import STANDING, World

HANA = Helper("Hana", ssh_key.new_keypair("hana")[1])
HEADSCALE: tuple[Transport, ...] = ("headscale",)


@pytest.fixture
def world(make_world: Callable[..., World], library: Library) -> World:
    made = make_world(library=library, transports=HEADSCALE)
    made.has_standing()
    return made


def answered_by(world: World) -> HeadscalePath:
    state = world.admin_vault.get(world.tunnel, STATE)
    assert state is not None
    (path,) = AdminSession.load(state).answer.paths
    assert isinstance(path, HeadscalePath)
    return path


def everybody_stops(world: World) -> None:
    stopping = world.turns.start(world.stop_by_admin)
    world.turns.run(stopping)
    assert stopping.error is None
    world.turns.run()


def test_nothing_is_launched_and_the_way_in_leads_through_the_own_node(world: World) -> None:
    _, admin = world.connect()
    assert world.cloud.everything() == [world.foreign]
    assert (answered_by(world).shared, answered_by(world).control) == (True, STANDING)
    hops = world.door.hops[world.tunnel]
    assert hops.through == ThroughOwnNode(world.own_node.through(world.tunnel))
    (device,) = [node for node in world.standing_headscale.nodes.values() if "--d-" in node.tags[0]]
    assert hops.device_address == device.addresses[1]
    assert (admin.result.transport, admin.result.way, admin.result.server_address) == ("headscale", "direct", STANDING)


def test_the_rule_is_what_was_consented_to_and_the_keys_are_tagged_ephemeral_and_for_minutes(world: World) -> None:
    start = world.clock.now()
    world.helpers = (HANA,)
    world.connect()
    assert world.standing_headscale.policy is not None
    way = Passage("t-7", world.tunnel[:8], ("ann", "hana"), (47022,))
    assert read_policy(world.standing_headscale.policy.text) == (way,)
    assert {key.tags for key in world.standing_headscale.keys.values()} == {(tag,) for tag in way.tags}
    for key in world.standing_headscale.keys.values():
        assert (key.reusable, key.ephemeral) == (False, True)
        assert key.expires is not None
        assert key.expires <= start + timedelta(minutes=20)


def test_helpers_are_named_to_the_owner_and_have_a_key_only_once_the_owner_agreed(world: World) -> None:
    world.helpers = (HANA,)
    before: list[int] = []

    def agrees(question: str) -> str:
        before.append(sum("--h-hana" in tag for key in world.standing_headscale.keys.values() for tag in key.tags))
        return "yes"

    world.owner_says(lambda _: world.digits, agrees)
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert (device.error, admin.error) == (None, None)
    assert before == [0]
    (invited,) = admin.result.invitations
    assert (invited.name, invited.control, invited.address) == (
        "Hana",
        STANDING,
        world.door.hops[world.tunnel].device_address,
    )
    world.standing_headscale.join(invited.key, "hana")
    everybody_stops(world)
    assert world.left() == []
    with pytest.raises(CoordinatorError):
        world.standing_headscale.join(invited.key, "stranger")


def test_a_helpers_key_that_cannot_be_made_ends_nothing(world: World) -> None:
    world.helpers = (HANA,)
    world.owner_agrees()
    world.own_node.way_to = lambda tunnel, peer: (_ for _ in ()).throw(HostError("node.gone", "it ended"))  # type: ignore[method-assign]  # breaks what comes last
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert (admin.error, admin.result.invitations) == (None, ())
    assert any("no key for your helpers" in note for note in world.notes.notes)


@pytest.mark.parametrize("hours", [-20, 20])
def test_a_device_whose_clock_is_wrong_changes_no_end_on_this_side(world: World, hours: int) -> None:
    world.device_ahead = timedelta(hours=hours)
    world.helpers = (HANA,)
    start = world.clock.now()
    _, admin = world.connect()
    (user,) = world.standing_headscale.users.values()
    (invited,) = admin.result.invitations
    (entry,) = world.ledger.entries()
    latest = (world.clock.now() + timedelta(seconds=world.wish.ttl)).timestamp() + 1
    for end in (
        int(user.name[-10:]),
        invited.until.timestamp(),
        entry.expires.timestamp(),
        admin.result.until.timestamp(),
    ):
        assert start.timestamp() + world.wish.ttl - 1 <= end <= latest
    assert world.sweep().ended == [], "it goes on"


def test_a_server_that_is_away_for_a_moment_after_the_owners_yes_is_waited_for(world: World) -> None:
    back = away_after_the_yes(world, seconds=40)
    _, admin = world.connect()
    assert back.result is not None
    assert admin.result.transport == "headscale"


def test_one_that_stays_away_then_is_told_of(world: World) -> None:
    away_after_the_yes(world, seconds=3600)
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert isinstance(admin.error, CoordinatorError)
    assert admin.error.code == "headscale.unavailable"


def test_a_record_that_cannot_be_shortened_ends_later_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise CoordinatorError("headscale.unavailable", "its database is busy")

    monkeypatch.setattr("support_tunnel.flows.admin.standing_server.shorten", away)
    _, admin = world.connect()
    (user,) = world.standing_headscale.users.values()
    assert int(user.name[-10:]) > admin.result.until.timestamp() + 1
    assert any("keeps its later end: its database is busy" in note for note in world.notes.notes)


def away_after_the_yes(world: World, *, seconds: float) -> Job:
    """The job that has the server away, from when the device has joined."""
    joins = world.device.on_join
    gone = CoordinatorError("headscale.unavailable", "nobody answers")

    def join() -> None:
        joins()
        world.standing_headscale.trouble = gone

    def comes_back() -> str:
        world.turns.wait(lambda: world.standing_headscale.trouble is gone, 3600)
        world.clock.pause(seconds)
        world.standing_headscale.trouble = None
        return "back"

    world.owner_agrees()
    world.device.on_join = join
    return world.turns.start(comes_back)


def test_its_record_on_the_server_ends_with_the_session_and_the_reaper_needs_nothing_else(world: World) -> None:
    """The tool and its machine are gone: another one, with the API key alone."""
    _, admin = world.connect()
    (user,) = world.standing_headscale.users.values()
    assert user.name.startswith(f"st-{world.tunnel[:8]}-t-7-")
    assert int(user.name[-10:]) <= admin.result.until.timestamp() + 1
    world.ledger.remove(world.tunnel)
    assert world.sweep().ended == [f"tunnel {world.tunnel[:8]}"], "what this machine has of it"
    assert world.left_on_standing() != []
    world.manual.advance((admin.result.until - world.clock.now()).total_seconds() + 1)
    swept = world.sweep()
    assert swept.failed == []
    assert world.left_on_standing() == []
    (report,) = swept.reports
    assert report.complete
    assert list(world.ledger.reports()) == [report]


def test_the_end_says_each_step_and_is_kept(world: World) -> None:
    world.connect()
    everybody_stops(world)
    assert world.left() == []
    (report,) = world.ledger.reports()
    assert (report.tunnel, report.ticket, report.complete) == (world.tunnel, "T-7", True)
    assert [step.what for step in report.steps] == [
        "the device's node deleted",
        "join keys expired",
        "the other nodes deleted",
        "the server's lists read again: no node, no key that lets in",
        "the policy lets nobody in, read back",
        "the tunnel's user deleted",
        "device told",
        "own node ended",
        "keys on this machine erased",
    ]


def test_a_server_that_is_away_at_the_end_keeps_the_record_and_names_the_step(world: World) -> None:
    world.connect()
    world.standing_headscale.trouble = CoordinatorError("headscale.unavailable", "its database is gone")
    stopping = world.turns.start(world.stop_by_admin)
    world.turns.run(stopping)
    world.turns.run()
    assert isinstance(stopping.error, CoordinatorError)
    (report,) = world.ledger.reports()
    assert {step.what: step.done for step in report.steps}["join keys expired"] is False
    assert {step.what: step.done for step in report.steps}["device told"] is True
    assert world.own_node.tunnels() == []
    assert [entry.stage for entry in world.ledger.entries()] == ["stopping"]
    world.standing_headscale.trouble = None
    assert world.sweep().failed == []
    assert world.left() == []


def test_an_answer_that_was_broken_off_goes_on_with_a_node_of_its_own_again(world: World) -> None:
    world.owner_agrees()
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.ledger.entries()) and world.ledger.entries()[0].stage == "answered")
    world.turns.kill(admin)
    world.own_node.leave(world.tunnel)
    again = world.turns.start(lambda: resume(world.admin_ports(), world.tunnel, read_aloud=world._read_aloud))
    world.turns.run(device, again)
    assert (device.error, again.error) == (None, None)
    assert world.own_node.address(world.tunnel) is not None
    everybody_stops(world)
    assert world.left() == []


def test_a_device_that_says_it_is_there_and_is_not_listed_is_not_believed(world: World) -> None:
    world.owner_agrees()
    world.device.on_join = lambda: None
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert isinstance(admin.error, HostError)
    assert admin.error.code == "headscale.device"
    world.turns.run()
    assert world.left() == []
