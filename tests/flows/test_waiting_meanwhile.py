"""A request that waits, and the world that goes on meanwhile: a stop, a timer, another tool; other settings, another API, another trust."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import HostError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.st1.signer import Organisation, Trust
from support_tunnel.flows.device.end_session import stop_all
from support_tunnel.flows.device.expire import expire
from support_tunnel.flows.device.status import status
from support_tunnel.testing.fake_mailbox import FakePostOffice
from tests.flows.test_play import clean_and_closed, failed
from tests.flows.test_waiting_requests import answering, finished, state, tried
from tests.flows.world import World, keys

# --- what happens at the same moment --------------------------------------------------------------------------------


def test_a_stop_while_the_owner_thinks_ends_the_question(world: World) -> None:
    world.request_and_leave()
    admin = answering(world)
    owner = world.turns.start(lambda: world.go_on(wait=0))  # nobody is at the terminal
    world.turns.run(until=lambda: state(world) == "asking")
    before = world.clock.monotonic()
    finished(world, world.turns.start(world.stop_by_owner))
    assert world.clock.monotonic() - before < 5
    world.turns.run(owner, admin)
    assert (failed(owner).code, failed(admin).code) == ("consent.stopped", "consent.declined")
    clean_and_closed(world)


def test_a_timer_that_fires_late_ends_no_session(world: World) -> None:
    world.request_and_leave(approved=True)
    admin = answering(world)
    assert tried(world).state == "connected"
    finished(world, admin)
    assert not expire(world.device_ports(), world.tunnel)
    assert state(world) == "active"
    assert "nobody answered" not in "".join(world.journal.lines[world.tunnel])


def test_a_timer_that_fires_while_a_tool_waits_spoils_nothing(world: World) -> None:
    world.request_and_leave()
    waiting = world.turns.start(world.go_on)
    world.turns.run(until=lambda: world.notes.steps[-1:] == ["Looking for the helper's answer"])
    assert not expire(world.device_ports(), world.tunnel)
    world.turns.kill(waiting)
    admin = answering(world)
    world.owner_agrees()
    finished(world, world.turns.start(lambda: world.go_on(wait=0)), admin)


def test_what_a_killed_tool_left_takes_no_place(world: World) -> None:
    world.request_and_leave()
    admin = answering(world)
    owner = world.turns.start(lambda: world.go_on(wait=0))
    world.turns.run(until=lambda: state(world) == "asking")
    world.turns.kill(owner)
    left = world.tunnel
    world.request_and_leave()
    assert {row.tunnel for row in status(world.device_ports())} == {world.tunnel}
    assert world.tunnel != left
    world.turns.run(admin)
    assert failed(admin).code == "consent.declined"


def test_one_that_is_slow_to_end_keeps_nobody_in(make_world: Callable[..., World]) -> None:
    """Ids are sorted by chance: the question may come first, the open session second (05, tests 60 and 64)."""
    world = make_world(policy=True)
    world.max_sessions = 2
    world.connect()
    session, cut_at = world.tunnel, list[float]()
    asking = TunnelId("0" * 32)
    with world.device_vault.hold(asking):  # a tool that does not let go
        stopping = world.turns.start(lambda: stop_all(world.device_ports(), [asking, session], "the owner ended it"))
        world.turns.run(until=lambda: "interface" not in world.device.holds[session[:8]])
        cut_at.append(world.clock.monotonic())
        world.turns.run(stopping)
    assert isinstance(stopping.error, HostError)
    assert cut_at[0] < world.clock.monotonic() - 10
    assert world.left_on_device() == [f"vault of {asking[:8]}"] or world.left_on_device() == []


# --- what changes while it waits ------------------------------------------------------------------------------------


def test_another_api_ends_nothing(world: World) -> None:
    world.request_and_leave()
    other = FakePostOffice(world.manual)
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(world, "office", other)
        with pytest.raises(WrongState) as unknown:
            world.go_on(wait=0)
        assert (unknown.value.code, "SUPPORT_TUNNEL_API" in unknown.value.next_step) == ("tunnel.unknown", True)
    admin = answering(world)
    world.owner_agrees()
    finished(world, world.turns.start(world.go_on), admin)


def test_a_yes_to_an_organisation_is_not_a_yes_to_anybody(world: World) -> None:
    authority = ssh_key.new_keypair("ca")[1]
    world.trust = Trust((Organisation("Example Ltd", (authority,)),))
    world.request_and_leave(approved=True)
    assert "anybody of Example Ltd who has the code" in world.prompt.shown[0]
    world.trust = Trust()  # root took the line away
    answering(world)
    assert tried(world).state == "asks"
    assert "consented" not in world.events()


def test_a_key_revoked_while_it_waits_does_not_get_to_the_owner(world: World) -> None:
    world.request_and_leave()
    owner = world.turns.start(world.go_on)
    world.turns.run(until=lambda: world.notes.steps[-1:] == ["Looking for the helper's answer"])
    world.trust = Trust(revoked=frozenset({ssh_key.fingerprint(keys()["public"])}))
    admin = world.turns.start(world.answer)
    world.turns.run(owner, admin)
    assert failed(owner).code == "signer.revoked"
    assert world.prompt.asked == []
    clean_and_closed(world)


def test_an_answer_whose_helper_gave_up_is_none(world: World) -> None:
    world.request_and_leave()
    admin = answering(world)
    world.turns.kill(admin)
    world.stop_by_admin()
    assert state(world) == "requested"
