"""A session that runs: three clocks, of which the earliest ends it; the API, which cannot; the admin, who can."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.ports import Blob
from tests.flows.world import TTL, World

OVER = "the time you allowed is over"


def reason(world: World) -> str:
    return world.journal.lines[world.tunnel][-1]


def running(world: World) -> bool:
    return "keeper" in world.device.holds[world.tunnel[:8]]


def pass_time(world: World, seconds: float) -> None:
    """Let the keeper do its rounds for so long."""
    stop = world.clock.monotonic() + seconds
    world.turns.run(until=lambda: world.clock.monotonic() >= stop)


@pytest.fixture
def session(make_world: Callable[..., World]) -> World:
    world = make_world(policy=True)
    world.connect()
    pass_time(world, 10)  # the keeper is at work and has taken its bearings
    return world


def test_it_ends_when_the_time_is_over_and_not_before(session: World) -> None:
    started = session.clock.monotonic()
    pass_time(session, TTL - 30)
    assert running(session)
    session.turns.run()
    assert session.clock.monotonic() - started == pytest.approx(TTL, abs=10)
    assert session.left_on_device() == []
    assert OVER in reason(session)


@pytest.mark.parametrize("alone", ["now", "monotonic", "boottime"])
def test_each_of_three_clocks_ends_it_alone(session: World, monkeypatch: pytest.MonkeyPatch, alone: str) -> None:
    started = session.clock.monotonic()
    for name in {"now", "monotonic", "boottime"} - {alone}:
        stopped = getattr(session.clock, name)()
        monkeypatch.setattr(session.clock, name, lambda stopped=stopped: stopped)
    session.turns.run(until=lambda: session.manual.monotonic() > started + TTL + 10)
    assert session.left_on_device() == []
    assert OVER in reason(session)


def test_a_clock_that_is_set_forward_ends_it(session: World) -> None:
    session.manual._start += timedelta(hours=2)
    before = session.clock.monotonic()
    session.turns.run()
    assert session.clock.monotonic() - before <= 5
    assert session.left_on_device() == []


def test_a_clock_that_is_set_back_buys_nothing(session: World) -> None:
    session.manual._start -= timedelta(days=1)
    before = session.clock.monotonic()
    session.turns.run()
    assert session.clock.monotonic() - before == pytest.approx(TTL, abs=10)


def test_sleep_counts_whatever_the_wall_clock_says_afterwards(session: World) -> None:
    session.manual.suspend(TTL + 1)
    session.manual._start -= timedelta(seconds=TTL + 1)
    before = session.clock.monotonic()
    session.turns.run()
    assert session.clock.monotonic() - before <= 5
    assert session.left_on_device() == []


@pytest.mark.parametrize(
    "error",
    [
        HostError("api.unreachable", "away"),
        HostError("api.answer", "garbage"),
        WrongState("tunnel.unknown", "never heard of it"),
        WrongState("tunnel.closed", "closed"),
        UsageError("api.token", "may not"),
        UsageError("api.size", "too long"),
    ],
    ids=lambda error: error.code,
)
def test_whatever_the_api_says_the_session_goes_on(
    session: World, monkeypatch: pytest.MonkeyPatch, error: SupportTunnelError
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    started = session.clock.monotonic()
    for mailbox in ("messages", "post", "close"):
        monkeypatch.setattr("support_tunnel.testing.fake_mailbox.FakeMailbox." + mailbox, refuse)
    pass_time(session, TTL - 60)
    assert running(session)
    session.turns.run()
    assert session.clock.monotonic() - started == pytest.approx(TTL, abs=10)
    assert session.left_on_device() == []


def test_an_api_that_closes_or_forgets_the_tunnel_ends_nothing(session: World) -> None:
    session.office.boxes[session.tunnel].closed = True
    pass_time(session, 60)
    del session.office.boxes[session.tunnel]
    pass_time(session, 60)
    assert running(session)


def test_signs_of_life_carry_the_head_of_the_log(session: World) -> None:
    pass_time(session, 95)
    sent = [blob for blob in session.office.boxes[session.tunnel].blobs if blob.slot == "control-device"]
    assert len(sent) == 3
    assert len({blob.data for blob in sent}) == 3


def test_forged_and_reflected_messages_change_nothing(session: World) -> None:
    pass_time(session, 65)
    box = session.office.boxes[session.tunnel]
    own = next(blob.data for blob in box.blobs if blob.slot == "control-device")
    for data in (b"garbage", own, box.blobs[0].data):
        box.last += 1
        box.blobs.append(Blob(box.last, "control-admin", data))
    pass_time(session, 30)
    assert running(session)


def test_a_stop_of_another_tunnel_changes_nothing(session: World, make_world: Callable[..., World]) -> None:
    other = make_world(policy=True)
    other.connect()
    other.turns.start(other.stop_by_admin)
    other.turns.run()
    stop = next(blob for blob in other.office.boxes[other.tunnel].blobs if blob.slot == "control-admin")
    box = session.office.boxes[session.tunnel]
    box.blobs.append(Blob(box.last + 1, "control-admin", stop.data))
    box.last += 1
    pass_time(session, 30)
    assert running(session)


def test_the_admins_stop_ends_it_at_once_and_they_hear_that_it_did(session: World) -> None:
    before = session.clock.monotonic()
    stopping = session.turns.start(session.stop_by_admin)
    session.turns.run(stopping)
    assert session.clock.monotonic() == before
    assert session.left() == []
    assert "the helper ended it" in reason(session)


def test_a_keeper_that_is_killed_ends_the_session(session: World) -> None:
    session.device.keeper_dies(session.tunnel[:8])
    assert session.left_on_device() == []


def test_a_keeper_with_nothing_to_keep_says_so(session: World) -> None:
    session.stop_by_owner()
    session._keeper_starts(session.tunnel)
    keeper = session.keepers[session.tunnel[:8]]
    session.turns.run(keeper)
    assert keeper.error is None
