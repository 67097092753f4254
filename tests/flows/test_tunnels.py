"""What the verbs about tunnels and the standing server show, and that anybody with its key can close one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from support_tunnel.core.errors import CoordinatorError, UsageError, WrongState
from support_tunnel.core.tailnet.stay import Stay
from support_tunnel.flows.admin.headscale_status import headscale_status
from support_tunnel.flows.admin.tunnels import close, one, tunnels
from support_tunnel.flows.library import Library
from support_tunnel.flows.tailnet import LEASE, LOCK
from tests.flows.test_standing_play import HANA, HEADSCALE
from tests.flows.world import STANDING, World

AWAY = CoordinatorError("headscale.unavailable", "it does not answer")


@pytest.fixture
def world(make_world: Callable[..., World], library: Library) -> World:
    made = make_world(library=library, transports=HEADSCALE)
    made.has_standing()
    made.helpers = (HANA,)
    made.connect()
    return made


def of_somebody_else(world: World) -> None:
    """This admin's machine forgets it; the server does not."""
    world.ledger.remove(world.tunnel)
    world.admin_vault.erase(world.tunnel)
    world.own_node.leave(world.tunnel)


def test_one_s_own_is_shown_with_who_may_come_and_who_has(world: World) -> None:
    (row,) = tunnels(world.admin_ports()).rows
    assert (row.id, row.ticket, row.state, row.mine, row.server) == (world.tunnel, "T-7", "connected", True, STANDING)
    assert row.helpers == ("ann", "hana")
    assert set(row.nodes) == {"node--d-", "own"}
    assert one(world.admin_ports(), world.tunnel[:6]) == row


def test_somebody_elses_is_seen_and_closed_by_the_server_alone(world: World) -> None:
    of_somebody_else(world)
    (row,) = tunnels(world.admin_ports()).rows
    assert (row.id, row.ticket, row.state, row.mine) == (world.tunnel[:8], "t-7", "there", False)
    ended = close(world.admin_ports(), world.tunnel)
    assert ended.trouble is None
    assert ended.report.complete
    assert world.left_on_standing() == []
    assert one(world.admin_ports(), world.tunnel[:8]).report == ended.report
    with pytest.raises(WrongState) as refused:
        close(world.admin_ports(), world.tunnel[:8])
    assert refused.value.code == "tunnel.ended"


def test_a_few_digits_that_are_also_somebody_elses_close_neither(world: World) -> None:
    other = world.tunnel[:4] + ("0000" if world.tunnel[4:8] != "0000" else "1111")
    end_ = int((world.clock.now() + timedelta(hours=1)).timestamp())
    world.standing_headscale.face().create_user(Stay(other, "t-8", "0" * 8, end_).user)
    with pytest.raises(UsageError) as refused:
        close(world.admin_ports(), world.tunnel[:4])
    assert refused.value.code == "tunnel.ambiguous"
    assert [entry.stage for entry in world.ledger.entries()] == ["connected"]


def test_ones_own_is_closed_whole_and_how_is_shown_afterwards(world: World) -> None:
    closing = world.turns.start(lambda: close(world.admin_ports(), world.tunnel[:8]))
    world.turns.run(closing)
    world.turns.run()
    assert closing.error is None
    assert closing.result.report.complete
    assert world.left() == []
    shown = one(world.admin_ports(), world.tunnel)
    assert (shown.state, shown.report) == ("ended", closing.result.report)


def test_a_server_that_is_away_takes_nothing_from_ones_own_and_makes_nothing_absent(world: World) -> None:
    world.standing_headscale.trouble = AWAY
    found = tunnels(world.admin_ports())
    assert [row.id for row in found.rows] == [world.tunnel]
    assert found.unseen is AWAY
    with pytest.raises(CoordinatorError):
        one(world.admin_ports(), "abcdef" if not world.tunnel.startswith("abcdef") else "fedcba")


@pytest.mark.parametrize("text", ["", "abc", "xyzxyz"])
def test_what_is_no_id_is_said(world: World, text: str) -> None:
    with pytest.raises(UsageError):
        one(world.admin_ports(), text)


def test_one_that_is_not_there_is_said(world: World) -> None:
    with pytest.raises(WrongState, match="there is no tunnel"):
        close(world.admin_ports(), "abcdef01" if not world.tunnel.startswith("abcd") else "fedcba01")


# --- the server itself ----------------------------------------------------------------------------------------------


def test_a_server_that_is_well_has_no_problems(world: World) -> None:
    world.standing_headscale.certificate_end = world.clock.now() + timedelta(days=90)
    found = headscale_status(world.admin_ports())
    assert (found.url, found.version, found.nodes, found.problems, found.leftovers) == (STANDING, "0.29.2", 2, (), ())
    assert [stay.device for stay in found.tunnels] == [world.tunnel[:8]]


def test_each_thing_that_is_wrong_is_a_problem(world: World) -> None:
    world.standing_headscale.certificate_end = world.clock.now() + timedelta(days=13)
    world.standing_headscale.face().create_user(LOCK)
    world.manual.advance(max(LEASE.total_seconds(), 3600) + 1)
    found = headscale_status(world.admin_ports())
    assert len(found.problems) == 2
    assert [left.split(",")[0] for left in found.leftovers] == [
        f"tunnel {world.tunnel[:8]}",
        "a dead tool's lock of the policy",
    ]
    assert "certificate" in found.problems[0]
    assert "fab sweep" in found.problems[1]


def test_a_clock_that_is_off_is_a_problem(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from support_tunnel.testing.fake_headscale import FakeCoordinator

    now = FakeCoordinator.now
    monkeypatch.setattr(FakeCoordinator, "now", lambda self: now(self) + timedelta(seconds=40))
    (problem,) = headscale_status(world.admin_ports()).problems
    assert "clock" in problem


def test_without_one_it_is_said_what_to_set(make_world: Callable[..., World], library: Library) -> None:
    with pytest.raises(UsageError) as refused:
        headscale_status(make_world(library=library).admin_ports())
    assert refused.value.code == "headscale.standing"
