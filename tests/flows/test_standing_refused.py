"""What keeps a tunnel from a standing server: nothing is left of the attempt, and the owner's code is good for the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from support_tunnel.core.errors import CoordinatorError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.ports import StoredPolicy
from support_tunnel.core.tailnet.stay import Stay
from support_tunnel.flows.library import Library
from support_tunnel.testing.clock import START
from support_tunnel.testing.faults import Fault, FaultWiring, raising
from tests.flows.test_standing_play import HEADSCALE
from tests.flows.turns import Job
from tests.flows.world import World


@pytest.fixture
def world(make_world: Callable[..., World], library: Library) -> World:
    made = make_world(library=library, transports=HEADSCALE)
    made.has_standing()
    made.owner_agrees()
    return made


def refused(world: World, device: Job, **changes: object) -> SupportTunnelError:
    admin = world.turns.start(lambda: world.answer(**changes))  # type: ignore[arg-type]  # as given
    world.turns.run(until=lambda: admin.ended)
    assert isinstance(admin.error, SupportTunnelError)
    assert not device.ended
    assert not world.mailbox_closed()
    assert world.ledger.entries() == []
    assert world.admin_vault.tunnels() == []
    return admin.error


def lets_in(world: World, device: Job) -> None:
    again = world.turns.start(world.answer)
    world.turns.run(device, again)
    assert (device.error, again.error) == (None, None)


def asking(world: World) -> Job:
    device = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    return device


def lacks_programs(world: World) -> Callable[[], None]:
    world.own_node.lacks = UsageError("node.programs", "no tailscaled")
    return lambda: setattr(world.own_node, "lacks", None)


def wrong_authority(world: World) -> Callable[[], None]:
    right = world.standing
    assert right is not None
    world.standing = replace(right, authority="no certificate")
    return lambda: setattr(world, "standing", right)


def unreachable(world: World) -> Callable[[], None]:
    world.standing_headscale.trouble = CoordinatorError("headscale.unavailable", "nobody answers")
    return lambda: setattr(world.standing_headscale, "trouble", None)


def foreign(world: World) -> Callable[[], None]:
    server, ours = world.standing_headscale, world.standing_headscale.policy
    server.policy = StoredPolicy('{"grants": []}', START)
    return lambda: setattr(server, "policy", ours)


def full(world: World) -> Callable[[], None]:
    return stays(world, [f"{number:08x}" for number in range(5)])


def taken(world: World) -> Callable[[], None]:
    return stays(world, [world.tunnel[:8]])


def stays(world: World, devices: list[str]) -> Callable[[], None]:
    face = world.standing_headscale.face()
    end = int((world.clock.now() + timedelta(hours=1)).timestamp())
    made = [face.create_user(Stay(device, "t-1", "0" * 8, end).user).id for device in devices]

    def ended() -> None:
        for user in made:
            face.delete_user(user)

    return ended


REFUSALS: dict[str, Callable[[World], Callable[[], None]]] = {
    "node.programs": lacks_programs,
    "config.authority": wrong_authority,
    "headscale.unavailable": unreachable,
    "tailnet.foreign": foreign,
    "tunnels.full": full,
    "tailnet.taken": taken,
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_makes_nothing_and_the_same_code_connects_later(world: World, code: str) -> None:
    device = asking(world)
    mended = REFUSALS[code](world)
    before = set(world.standing_headscale.users)
    assert refused(world, device).code == code
    assert set(world.standing_headscale.users) == before
    assert world.ledger.reports() == [], "there was nothing to end"
    mended()
    lets_in(world, device)


def test_wherever_the_server_fails_before_the_answer_the_same_code_connects_later(world: World) -> None:
    device = asking(world)
    struck: list[str] = []
    while "coordinator.create_join_key" not in struck:
        wiring = FaultWiring(Fault(len(struck) + 1, "before", raising(CoordinatorError("headscale.auth", "401"))))
        face = wiring.wrap("coordinator", world.standing_headscale.face())
        refused(world, device, coordinator_for=lambda *_, face=face: face)
        struck.append(wiring.calls[len(struck)])
    assert {"coordinator.users", "coordinator.create_user", "coordinator.set_policy"} <= set(struck)
    assert world.left_on_standing() == []
    lets_in(world, device)


def test_the_last_place_that_somebody_else_took_meanwhile_costs_the_owner_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raced(*_: object, **__: object) -> None:
        raise WrongState("tunnels.full", "another tool was faster")

    device = asking(world)
    with monkeypatch.context() as patched:
        patched.setattr("support_tunnel.flows.admin.standing_server.begin", raced)
        assert refused(world, device).code == "tunnels.full"
    lets_in(world, device)
