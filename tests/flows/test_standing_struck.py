"""What a standing server is told, failed and killed at each of its calls: the reaper then leaves nothing, and touches nobody else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.ports import Coordinator
from support_tunnel.core.tailnet import Passage
from support_tunnel.flows.standing import end, look, reap, shorten
from support_tunnel.flows.teardown import Teardown
from support_tunnel.testing.faults import Fault, FaultWiring, Side
from tests.flows.test_standing import HOUR, OURS, A, B, Server
from tests.flows.turns import Killed

WORK: dict[str, Callable[[Server, Coordinator], object]] = {
    "open": lambda server, face: server.opened(A, coordinator=face),
    "shorten": lambda server, face: shorten(face, B.device, OURS, 60),
    "end": lambda server, face: end(face, server.clock, B.device, Teardown()),
    "reap": lambda server, face: reap(face, server.clock),
}
LIVE = Passage("t-1", "cccccccc", ("ann",), (47022,))
"""A tunnel of the same ticket, and its helper is one of the others' too; nothing below ends it."""
DEEDS = {"failed": CoordinatorError("headscale.unsure", "it may have happened"), "killed": Killed()}


def prepared(name: str) -> Server:
    server = Server()
    server.opened(B, seconds=600)
    server.opened(LIVE, seconds=24 * HOUR)
    server.of_others()
    if name == "reap":
        server.clock.advance(601)
    return server


def calls(name: str) -> list[str]:
    server, wiring = prepared(name), FaultWiring()
    WORK[name](server, wiring.wrap("coordinator", server.face))
    return wiring.calls


@pytest.mark.parametrize("kind", DEEDS)
@pytest.mark.parametrize("name", WORK)
def test_wherever_it_breaks_off_the_reaper_leaves_nothing_and_touches_nobody_else(name: str, kind: str) -> None:
    counted = calls(name)
    assert len(counted) > 3
    for number in range(1, len(counted) + 1):
        for side in ("before", "after"):
            strike(name, kind, number, side, f"{side} call {number}, {counted[number - 1]}")


def strike(name: str, kind: str, number: int, side: Side, where: str) -> None:
    server = prepared(name)

    before = live(server)

    def deed() -> None:
        raise DEEDS[kind]

    wiring = FaultWiring(Fault(number, side, deed, lasting=kind == "killed"))
    with suppress(CoordinatorError, Killed):
        WORK[name](server, wiring.wrap("coordinator", server.face))
    assert wiring.struck, where
    assert [thing for thing in before if thing not in live(server)] == [], where
    server.clock.advance(2 * HOUR)
    assert reap(server.face, server.clock).failed == [], where
    assert [thing for thing in before if thing not in live(server)] == [], where
    end(server.face, server.clock, LIVE.device, Teardown())
    assert server.left() == [], where
    assert [node.name for node in server.headscale.nodes.values()] == ["laptop"], where


def live(server: Server) -> list[object]:
    """What LIVE has or shares, as it is: its device, its helper, their keys, its record and its rule."""
    here = server.headscale
    return [
        *(node for node in here.nodes.values() if set(node.tags) & set(LIVE.tags)),
        *(key for key in here.keys.values() if set(key.tags) & set(LIVE.tags)),
        *(user for user in here.users.values() if LIVE.device in user.name),
        *(passage for passage in look(server.face).passages if passage == LIVE),
    ]
