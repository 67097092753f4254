"""A request that waits without a tool: whoever goes on with it later finds it as it was, and it never outlives its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support_tunnel.core.errors import ConsentRefused, HostError, SupportTunnelError, UsageError, WrongState
from support_tunnel.flows.admin.ports import AcceptedRisks
from support_tunnel.flows.device.connect import Tried, connect_approved
from support_tunnel.flows.device.request_and_leave import request_and_leave
from support_tunnel.flows.device.status import status
from support_tunnel.testing.fake_mailbox import FakeMailbox
from tests.flows.test_play import clean_and_closed, failed
from tests.flows.turns import Job
from tests.flows.world import KEEPER, PATIENCE, WISH, World


def state(world: World) -> str:
    (row,) = status(world.device_ports())
    return row.state


def answering(world: World) -> Job:
    """A helper who has answered and waits for the device."""
    admin = world.turns.start(world.answer)
    world.turns.run(until=lambda: state(world) == "answered")
    return admin


def finished(world: World, *jobs: Job) -> None:
    world.turns.run(*jobs)
    for job in jobs:
        assert job.error is None, job.error


def tried(world: World) -> Tried:
    job = world.turns.start(lambda: connect_approved(world.device_ports(), keeper=KEEPER))
    finished(world, job)
    (one,) = job.result
    assert isinstance(one, Tried)
    return one


def test_asked_answered_and_approved_later(world: World) -> None:
    world.request_and_leave()
    assert state(world) == "requested"
    admin = answering(world)
    world.owner_agrees()
    owner = world.turns.start(lambda: world.go_on(wait=0))
    finished(world, owner, admin)
    assert owner.result.consent.how == "typed"
    assert state(world) == "active"
    world.stop_by_owner()
    world.stop_by_admin()
    clean_and_closed(world)


def test_connect_waits_for_the_answer(world: World) -> None:
    world.request_and_leave()
    world.owner_agrees()
    owner = world.turns.start(world.go_on)
    admin = world.turns.start(world.answer)
    finished(world, owner, admin)


def test_nobody_has_answered_yet_and_it_goes_on_waiting(world: World) -> None:
    world.request_and_leave()
    for _ in range(2):
        with pytest.raises(WrongState) as none:
            world.go_on(wait=0)
        assert none.value.code == "answer.none"
    assert state(world) == "requested"
    assert world.clean_up() == []
    assert state(world) == "requested"


def test_an_api_that_is_away_changes_nothing(world: World) -> None:
    world.request_and_leave()
    with pytest.MonkeyPatch.context() as away:

        def unreachable(*_: object, **__: object) -> None:
            raise HostError("api.unreachable", "away")

        away.setattr(FakeMailbox, "messages", unreachable)
        with pytest.raises(HostError):
            world.go_on(wait=0)
        assert state(world) == "requested"
    admin = answering(world)
    world.owner_agrees()
    finished(world, world.turns.start(world.go_on), admin)


def test_it_ends_by_itself_when_its_time_is_over(world: World) -> None:
    world.request_and_leave()
    world.turns.run()
    assert world.clock.monotonic() >= PATIENCE - 1
    clean_and_closed(world)
    assert "nobody answered the request in time" in world.journal.lines[world.tunnel][-1]


def test_a_power_cut_before_the_end_leaves_nothing_to_go_on_with(world: World) -> None:
    world.request_and_leave()
    world.device.power_cut()
    world.device_vault.erase(world.tunnel)
    with pytest.raises(WrongState) as gone:
        world.go_on(wait=0)
    assert gone.value.code == "request.gone"
    assert world.left_on_device() == []


def test_stop_ends_it(world: World) -> None:
    world.request_and_leave()
    world.stop_by_owner()
    clean_and_closed(world)


def test_an_owner_who_refuses_later_tells_the_helper(world: World) -> None:
    world.request_and_leave()
    admin = answering(world)
    world.owner_says("no")
    owner = world.turns.start(lambda: world.go_on(wait=0))
    world.turns.run(owner, admin)
    assert (failed(owner).code, failed(admin).code) == ("consent.declined", "consent.declined")
    clean_and_closed(world)


def test_a_tool_killed_at_the_question_cannot_be_followed_by_another(world: World) -> None:
    """The nonce is out: a second process that read a second answer could be ground to any digits (2.3)."""
    world.request_and_leave()
    admin = answering(world)
    owner = world.turns.start(lambda: world.go_on(wait=0))
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(owner)
    with pytest.raises(WrongState) as gone:
        world.go_on(wait=0)
    assert gone.value.code == "request.gone"
    assert world.clean_up() == [world.tunnel]
    world.turns.run(admin)
    assert failed(admin).code == "consent.declined"
    clean_and_closed(world)


# --- approved beforehand --------------------------------------------------------------------------------------------


def test_nothing_is_opened_that_nobody_approved(world: World) -> None:
    world.request_and_leave()
    assert tried(world).state == "waiting"
    answering(world)
    assert tried(world).state == "asks"
    assert state(world) == "answered"
    assert "consented" not in world.events()
    assert world.prompt.asked == []


def test_what_was_only_looked_at_can_still_be_approved(world: World) -> None:
    world.request_and_leave()
    admin = answering(world)
    assert tried(world).state == "asks"
    world.owner_agrees()
    finished(world, world.turns.start(lambda: world.go_on(wait=0)), admin)


def test_approved_in_advance_opens_without_a_question(world: World) -> None:
    world.request_and_leave(approved=True)
    admin = answering(world)
    done = tried(world)
    finished(world, admin)
    assert done.state == "connected"
    assert done.connected is not None
    assert done.connected.consent.how == "in advance"
    assert len(world.prompt.asked) == 1  # when they asked
    assert "ANYBODY who has the code" in world.prompt.shown[0]
    assert state(world) == "active"


def test_an_owner_who_does_not_approve_in_advance_asks_nobody(world: World) -> None:
    world.owner_says("yes")
    with pytest.raises(ConsentRefused) as declined:
        request_and_leave(
            world.device_ports(),
            replace(WISH, approved=True),
            keeper=KEEPER,
            hand_over=lambda code, record: None,
        )
    assert declined.value.code == "consent.declined"
    assert world.office.boxes == {}
    assert world.left_on_device() == []


def test_the_policy_opens_without_a_question(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.request_and_leave()
    admin = answering(world)
    done = tried(world)
    finished(world, admin)
    assert done.connected is not None
    assert done.connected.consent.how == "policy"


def test_one_that_fails_is_told_and_is_gone(world: World) -> None:
    world.request_and_leave(approved=True)
    admin = answering(world)
    world.device.breaks_off = True
    done = tried(world)
    world.turns.run(admin)
    assert (done.state, done.error.code if done.error else "") == ("failed", "converge.failed")
    assert failed(admin).code == "device.stopped"
    clean_and_closed(world)


# --- how many at once -----------------------------------------------------------------------------------------------


def test_no_more_at_once_than_the_device_allows(world: World) -> None:
    world.max_sessions = 2
    world.request_and_leave()
    first = world.tunnel
    world.request_and_leave()
    with pytest.raises(WrongState) as full:
        world.request_and_leave()
    assert full.value.code == "tunnel.active"
    assert first[:8] in full.value.message
    world.stop_by_owner()
    world.request_and_leave()
    assert {row.tunnel for row in status(world.device_ports())} == {first, world.tunnel}


def test_of_two_tools_at_the_same_moment_one_gets_the_place(world: World) -> None:
    """The cron job, the button and the owner's command (05, test 62)."""
    tools = [world.turns.start(world.request) for _ in range(3)]
    world.turns.run(until=lambda: sum(tool.ended for tool in tools) == 2)
    refused = [tool.error for tool in tools if tool.ended]
    assert [error.code for error in refused if isinstance(error, SupportTunnelError)] == ["tunnel.active"] * 2
    assert state(world) == "requested"


# --- without ML-KEM -------------------------------------------------------------------------------------------------


def test_a_device_without_mlkem_asks_only_when_its_owner_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support_tunnel.core.st1.kem.mlkem_available", lambda: False)
    with pytest.raises(UsageError) as refused:
        world.request_and_leave()
    assert (refused.value.code, "--allow-classical" in refused.value.next_step) == ("crypto.mlkem", True)
    assert world.left_on_device() == []


def test_both_have_to_accept_a_classical_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support_tunnel.core.st1.device.mlkem_available", lambda: False)
    request_and_leave(
        world.device_ports(), replace(WISH, allow_classical=True), keeper=KEEPER, hand_over=world._hand_over
    )
    refused = world.turns.start(world.answer)
    world.turns.run(refused)
    assert failed(refused).code == "offer.classical"
    accepted = world.turns.start(lambda: world.answer(accepted=AcceptedRisks(classical=True)))
    world.turns.run(until=lambda: state(world) == "answered")
    world.owner_agrees()
    finished(world, world.turns.start(world.go_on), accepted)
