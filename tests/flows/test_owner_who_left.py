"""An owner who asked and left: how long a helper waits for them, first and after a resume, and what they are promised."""

from __future__ import annotations

import pytest

from support_tunnel.flows.admin.resume import resume
from support_tunnel.testing.clock import START
from tests.flows.test_play import clean_and_closed, failed
from tests.flows.test_waiting_requests import answering, finished
from tests.flows.turns import Job
from tests.flows.world import PATIENCE, WISH, World


def resumed(world: World) -> Job:
    return world.turns.start(lambda: resume(world.admin_ports(), world.tunnel, read_aloud=world._read_aloud))


def later(world: World, seconds: float) -> None:
    """Everybody waits until so long after the beginning."""
    world.turns.run(world.turns.start(lambda: world.clock.pause(seconds - world.clock.monotonic())))


def server_ends(world: World) -> float:
    """When the tunnel's server is no longer ours to use, in seconds from the beginning."""
    (server,) = (server for server in world.cloud.servers() if server.tags.get("st-tunnel") == world.tunnel)
    return int(server.tags["st-expires"]) - START.timestamp()


def test_a_helper_can_wait_for_an_owner_who_has_left(world: World) -> None:
    world.request_and_leave()
    world.admin_patience = PATIENCE
    admin = world.turns.start(world.answer)
    later(world, 100)
    (said,) = (note for note in world.notes.notes if "inv approve" in note)
    assert world.tunnel[:8] in said
    assert "until 2030-01-01 01:00 UTC" in said
    later(world, PATIENCE - 60)
    world.owner_agrees()
    finished(world, world.turns.start(lambda: world.go_on(wait=0)), admin)
    over = PATIENCE - 60 + WISH.ttl
    assert over <= (admin.result.until - START).total_seconds() <= server_ends(world)
    assert len([note for note in world.notes.notes if "inv approve" in note]) == 1


def test_a_helper_waits_half_an_hour_unless_they_say_otherwise(world: World) -> None:
    world.request_and_leave()
    admin = answering(world)
    world.turns.run(admin)
    assert failed(admin).code == "device.silent"
    assert world.clock.monotonic() == pytest.approx(1800, abs=1)
    assert world.left_on_admin() == []
    world.stop_by_owner()
    clean_and_closed(world)


def test_no_helper_waits_longer_than_the_request(world: World) -> None:
    world.request_and_leave()
    world.admin_patience = 10 * PATIENCE
    admin = world.turns.start(world.answer)
    world.turns.run(admin)
    assert failed(admin).code in ("tunnel.closed", "consent.declined")
    assert world.clock.monotonic() == pytest.approx(PATIENCE, abs=1)
    clean_and_closed(world)


def test_a_resumed_helper_waits_no_longer_than_the_first_would_have(world: World) -> None:
    world.request_and_leave()
    admin = answering(world)
    later(world, 1500)
    world.turns.kill(admin)
    again = resumed(world)
    world.turns.run(again)
    assert failed(again).code == "device.silent"
    assert world.clock.monotonic() == pytest.approx(1800, abs=1)
    assert world.left_on_admin() == []


def test_what_is_promised_after_a_resume_ends_with_the_server(world: World) -> None:
    """The owner said yes while no tool of the helper's was there, and later than it would have waited."""
    world.request_and_leave()
    admin = answering(world)
    world.turns.kill(admin)
    later(world, 1900)
    world.owner_says("skip", "yes")
    owner = world.turns.start(lambda: world.go_on(wait=0))
    world.turns.run(owner)
    again = resumed(world)
    finished(world, owner, again)
    assert (again.result.until - START).total_seconds() <= server_ends(world)
    assert again.result.until < owner.result.opened.until
