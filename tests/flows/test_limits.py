"""The limits of the admin's side, in the flow: how long the device is asked for, and the sixth tunnel at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.limits import Limits
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LedgerEntry
from support_tunnel.flows.library import Library
from tests.flows.world import World


@pytest.fixture
def world(make_world: Callable[..., World], library: Library) -> World:
    made = make_world(library=library)
    made.wish = replace(made.wish, ttl=6 * 3600)
    return made


def refused(world: World, **asked: object) -> BaseException | None:
    device = world.turns.start(world.request)
    admin = world.turns.start(lambda: world.answer(**asked))  # type: ignore[arg-type]  # as given
    world.turns.run(until=lambda: admin.ended)
    world.turns.kill(device)
    return admin.error


def test_nothing_asked_is_thirty_minutes_whatever_is_offered(world: World) -> None:
    _, admin = world.connect()
    assert admin.result.until - world.clock.now() <= timedelta(minutes=30)
    assert admin.result.until - world.clock.now() > timedelta(minutes=25)


def test_more_than_four_hours_are_refused_before_anything_is_made(world: World) -> None:
    error = refused(world, max_ttl=5 * 3600)
    assert isinstance(error, UsageError)
    assert error.code == "tunnel.minutes"
    assert world.cloud.everything() == [world.foreign]


def test_the_sixth_at_once_is_refused_before_anything_is_made(world: World) -> None:
    now = world.clock.now()
    for number in range(5):
        world.ledger.write(LedgerEntry(TunnelId(f"{number:032x}"), "fake", "connected", now, now + timedelta(hours=1)))
    error = refused(world)
    assert isinstance(error, WrongState)
    assert error.code == "tunnels.full"
    assert len(world.ledger.entries()) == 5
    assert world.cloud.everything() == [world.foreign]


def test_a_damaged_entry_of_another_tunnel_keeps_nobody_from_helping(world: World) -> None:
    now = world.clock.now()
    tunnel = TunnelId("ab" * 16)
    world.ledger.write(LedgerEntry(tunnel, "fake", "connected", now, now + timedelta(hours=1)))
    (world.folder / "ledger" / f"{tunnel}.json").write_text("broken")
    world.connect()


def test_the_limit_is_a_setting(world: World) -> None:
    now = world.clock.now()
    world.ledger.write(LedgerEntry(TunnelId("ab" * 16), "fake", "connected", now, now + timedelta(hours=1)))
    error = refused(world, limits=Limits(at_once=1))
    assert isinstance(error, WrongState)
    assert error.code == "tunnels.full"
