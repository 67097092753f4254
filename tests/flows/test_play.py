"""The whole job, both verbs against each other: it works, and each way it may go wrong ends cleanly for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support_tunnel.core.errors import ConsentRefused, HostError, SupportTunnelError, WrongState
from support_tunnel.core.st1.code import Code
from tests.flows.turns import Job
from tests.flows.world import PATIENCE, TTL, World


def failed(job: Job) -> SupportTunnelError:
    assert isinstance(job.error, SupportTunnelError), job.error or job.result
    return job.error


def clean_and_closed(world: World) -> None:
    assert world.left() == []
    assert world.mailbox_closed()


def both(world: World) -> tuple[Job, Job]:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    return device, admin


# --- it works -------------------------------------------------------------------------------------------------------


def test_connected_then_stopped_by_the_admin_leaves_nothing(world: World) -> None:
    device, admin = world.connect()
    assert admin.result.user == f"st{world.tunnel[:8]}"
    assert admin.result.until == device.result.opened.until
    assert world.door.hops[world.tunnel].device_user == admin.result.user
    assert [entry.stage for entry in world.ledger.entries()] == ["connected"]
    assert {"undo", "keeper"} < world.device.holds[world.tunnel[:8]]
    world.turns.start(world.stop_by_admin)
    world.turns.run()
    clean_and_closed(world)
    assert world.events() == ["requested", "consented", "opened", "ended"]
    assert "the helper ended it" in world.journal.lines[world.tunnel][-1]


def test_stopped_by_the_owner_the_device_is_clean_at_once_and_the_admin_when_they_stop(world: World) -> None:
    world.connect()
    before = world.clock.monotonic()
    world.stop_by_owner()
    assert world.left_on_device() == []
    assert world.clock.monotonic() - before < 1
    assert "the owner ended it" in world.journal.lines[world.tunnel][-1]
    world.turns.start(world.stop_by_admin)
    world.turns.run()
    clean_and_closed(world)


def test_both_may_stop_twice(world: World) -> None:
    world.connect()
    for _ in range(2):
        world.stop_by_owner()
        world.stop_by_admin()
    clean_and_closed(world)


def test_a_policy_lets_in_without_a_question(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    device, _ = world.connect()
    assert device.result.consent.how == "policy"
    assert world.prompt.asked == []


def test_the_owner_sees_an_admin_they_have_met(world: World) -> None:
    world.connect()
    world.stop_by_owner()
    world.stop_by_admin()
    world.code = None
    world.connect()
    assert "here once before" in world.prompt.shown[0]


def test_a_shorter_time_is_what_both_get(world: World) -> None:
    world.owner_agrees()
    device, admin = world.turns.start(world.request), world.turns.start(lambda: world.answer(max_ttl=600))
    world.turns.run(device, admin)
    lasts = (admin.result.until - world.office.boxes[world.tunnel].created).total_seconds()
    assert 600 <= lasts < 660
    assert lasts < TTL
    assert device.result.opened.until == admin.result.until


# --- somebody says no, or nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        (["no"], "consent.declined"),
        ([lambda world: world.digits, "no"], "consent.declined"),
        ([lambda world: world.digits, ""], "consent.declined"),
        (["skip", "y"], "consent.declined"),
        (["000 0000", "nonsense", "111 1111"], "sas.wrong"),
        ([lambda world: world.digits], "consent.timeout"),
        ([], "consent.timeout"),
    ],
)
def test_an_owner_who_does_not_say_yes_opens_nothing_and_the_admin_is_told(
    world: World, answers: list[Any], code: str
) -> None:
    world.owner_says(*((lambda _, answer=answer: answer(world)) if callable(answer) else answer for answer in answers))
    device, admin = both(world)
    assert isinstance(device.error, ConsentRefused)
    assert device.error.code == code
    assert (failed(admin).code, failed(admin).exit_code) == ("consent.declined", 3)
    clean_and_closed(world)
    assert "opened" not in world.events()
    assert world.device.holds[world.tunnel[:8]] == set()


def test_nobody_answers(world: World) -> None:
    device = world.turns.start(world.request)
    world.turns.run()
    assert failed(device).code == "request.timeout"
    assert world.clock.monotonic() == pytest.approx(PATIENCE, abs=1)
    clean_and_closed(world)


def test_the_device_goes_away_before_it_confirms(world: World) -> None:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: world.code is not None)
    world.turns.kill(device)
    world.turns.run(admin)
    assert failed(admin).code == "device.silent"
    assert "confirm" in failed(admin).message
    assert world.left_on_admin() == []
    world.clean_up()
    clean_and_closed(world)


def test_the_device_goes_away_while_the_owner_decides(world: World) -> None:
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(device)
    world.turns.run(admin)
    assert failed(admin).code == "device.silent"
    assert "ready" in failed(admin).message
    world.clean_up()
    clean_and_closed(world)


def test_the_admin_is_interrupted_while_the_owner_decides(world: World) -> None:
    world.owner_says(lambda _: world.digits, "yes")
    admin = world.turns.start(world.answer)
    device = world.turns.start(world.request)
    world.turns.run(until=lambda: bool(world.digits))
    world.turns.kill(admin)
    world.sweep()
    world.turns.run()
    assert isinstance(device.error, SupportTunnelError)
    clean_and_closed(world)


def test_no_handshake_ends_it_for_both(world: World) -> None:
    world.owner_agrees()
    world.device._handshake = lambda short, things: ""  # type: ignore[method-assign]  # a network that lets no UDP through
    device, admin = both(world)
    assert failed(device).code == "wait.timeout"
    assert (failed(admin).code, failed(admin).exit_code) == ("device.stopped", 6)
    clean_and_closed(world)


def test_a_device_that_fails_half_way_is_put_back(world: World) -> None:
    world.owner_agrees()
    world.device.breaks_off = True
    device, admin = both(world)
    assert failed(device).code == "converge.failed"
    assert (failed(admin).code, failed(admin).exit_code) == ("device.stopped", 6)
    clean_and_closed(world)


def test_a_server_that_fails_half_way_is_removed_and_the_owner_told(world: World) -> None:
    world.server.breaks_off = True
    device, admin = both(world)
    assert failed(admin).code == "converge.failed"
    assert failed(device).code == "tunnel.closed"
    clean_and_closed(world)


def test_a_device_without_post_quantum_ssh_asks_nobody(world: World) -> None:
    world.device.kex = "curve25519-sha256"
    with pytest.raises(HostError) as caught:
        world.request()
    assert caught.value.code == "device.kex"
    assert world.code is None
    assert world.left() == []


# --- too many -------------------------------------------------------------------------------------------------------


def test_a_second_request_is_refused_while_one_waits(world: World) -> None:
    world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    with pytest.raises(WrongState) as caught:
        world.request()
    assert caught.value.code == "tunnel.active"
    assert world.device_vault.tunnels() == [world.tunnel]


def test_a_second_answer_by_the_same_admin_is_refused_and_harms_nothing(world: World) -> None:
    world.connect()
    with pytest.raises(WrongState) as caught:
        world.answer()
    assert caught.value.code == "tunnel.known"
    assert [entry.stage for entry in world.ledger.entries()] == ["connected"]


def test_an_answer_after_another_admins_is_refused_before_anything_is_launched(
    world: World, make_world: Callable[..., World]
) -> None:
    world.connect()
    late = make_world()
    late.office, late.code = world.office, world.code
    with pytest.raises(WrongState) as caught:
        late.answer(name="bob")
    assert caught.value.code == "answer.late"
    assert late.left_on_admin() == []
    assert not world.mailbox_closed()


def test_two_admins_at_once_one_is_let_in_and_the_others_server_goes(
    world: World, make_world: Callable[..., World]
) -> None:
    other = make_world()
    other.office, other.turns, other.clock = world.office, world.turns, world.clock
    world.owner_agrees()
    device = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    other.code = world.code
    first, second = world.turns.start(world.answer), world.turns.start(lambda: other.answer(name="bob"))
    world.turns.run(device, first, second)
    assert first.error is None
    assert failed(second).code == "answer.late"
    assert other.left_on_admin() == []
    assert device.error is None


def test_an_unknown_code_launches_nothing(world: World) -> None:
    world.code = Code.generate()
    with pytest.raises(WrongState) as caught:
        world.answer()
    assert caught.value.code == "tunnel.unknown"
    assert world.left_on_admin() == []


# --- answers that are none ------------------------------------------------------------------------------------------


def test_a_forged_answer_is_noted_and_the_true_one_is_taken(world: World) -> None:
    world.owner_agrees()
    device = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    box = world.office.boxes[world.tunnel]
    # Only the API itself can put this there: the slot takes one answer, and only from who shows the claim.
    box.blobs.append(type(box.blobs[0])(2, "answer", b"garbage"))
    box.last = 2
    world.turns.run(until=lambda: "answer-unopened" in world.events())
    assert any("without the code" in note for note in world.notes.notes)
    assert world.device.traces() == [], "no user, no interface"
    assert not device.ended
    box.blobs.pop()
    admin = world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert device.error is None
    assert admin.error is None
    assert world.events() == ["requested", "answer-unopened", "consented", "opened"]
