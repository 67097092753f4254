"""Two admins with one code and one standing server: who is refused takes nothing from who is there, wherever the tool breaks off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from support_tunnel.core.errors import CoordinatorError, WrongState
from support_tunnel.core.limits import Limits
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import CoordinatorUser
from support_tunnel.core.tailnet.stay import read_stay
from support_tunnel.flows.admin.tunnels import close
from support_tunnel.flows.library import Library
from support_tunnel.flows.standing import begin, end, leave, look, reap, shorten
from support_tunnel.flows.tailnet import open_passage
from support_tunnel.flows.teardown import Teardown
from support_tunnel.testing.fake_headscale import FakeCoordinator
from support_tunnel.testing.fake_mailbox import FakePostOffice
from support_tunnel.testing.faults import Fault, FaultWiring, Side
from tests.flows.nodes import JoiningNode
from tests.flows.test_standing import HOUR, OURS, THEIRS, A, Server
from tests.flows.test_standing_play import HANA, HEADSCALE, everybody_stops
from tests.flows.turns import Job, Killed
from tests.flows.world import World


class Late(FakeCoordinator):
    """For a tool that looked a moment before the other began: it sees the other's record once it made its own, or gives up."""

    began = False
    gives_up: Callable[[], bool]

    def users(self):  # type: ignore[no-untyped-def]  # as FakeCoordinator's
        sees = self.began or self.gives_up()
        return [user for user in super().users() if sees or read_stay(user.name) is None]

    def create_user(self, name: str) -> CoordinatorUser:
        self.began = self.began or read_stay(name) is not None
        return super().create_user(name)


class Two:
    """Ann is connected, with a helper; bob read the offer before she answered."""

    def __init__(self, make_world: Callable[..., World], library: Library) -> None:
        def made() -> World:
            world = make_world(library=library, transports=HEADSCALE)
            world.has_standing()
            return world

        self._made = made
        self.ann = ann = made()
        ann.helpers = (HANA,)
        ann.owner_agrees()
        device = ann.turns.start(ann.request)
        ann.turns.run(until=lambda: ann.code is not None)
        self._offered = _copied(ann.office)
        first = ann.turns.start(ann.answer)
        ann.turns.run(device, first)
        assert (device.error, first.error) == (None, None)
        ann.standing_headscale.join(first.result.invitations[0].key, "hana")
        self.before = self.there()

    def bob(self) -> World:
        ann, bob = self.ann, self._made()
        bob.turns, bob.clock, bob.manual = ann.turns, ann.clock, ann.manual
        bob.standing_headscale, bob.standing = ann.standing_headscale, ann.standing
        bob.own_node = JoiningNode(ann.standing_headscale)
        bob.office, bob.code = _copied(self._offered), ann.code
        bob.server_kind = "standing"
        return bob

    def answers(self, bob: World, wiring: FaultWiring) -> Job:
        assert bob.standing is not None
        late = Late(bob.standing_headscale, bob.standing.key())
        late.gives_up = lambda: any(entry.stage == "stopping" for entry in bob.ledger.entries())
        coordinator = wiring.wrap("coordinator", late)
        job = bob.turns.start(lambda: bob.answer(wiring, name="bob", coordinator_for=lambda *_: coordinator))
        bob.turns.run(job)
        return job

    def there(self) -> tuple[object, ...]:
        server = self.ann.standing_headscale
        return dict(server.nodes), dict(server.keys), dict(server.users), server.policy


def _copied(office: FakePostOffice) -> FakePostOffice:
    boxes = {tunnel: replace(box, blobs=list(box.blobs)) for tunnel, box in office.boxes.items()}
    return FakePostOffice(office.clock, boxes)


@pytest.fixture
def two(make_world: Callable[..., World], library: Library) -> Two:
    return Two(make_world, library)


def test_the_refused_one_leaves_the_others_tunnel_and_the_mailbox_as_they_are(two: Two) -> None:
    bob = two.bob()
    refused = two.answers(bob, FaultWiring()).error
    assert isinstance(refused, WrongState)
    assert refused.code == "tailnet.taken"
    assert two.there() == two.before
    assert bob.ledger.entries() == []
    assert bob.admin_vault.tunnels() == []
    assert not bob.mailbox_closed()
    everybody_stops(two.ann)
    assert two.ann.left() == []


@pytest.mark.parametrize("kind", ["failed", "killed"])
def test_wherever_it_breaks_off_nothing_of_the_others_is_touched_and_its_sweep_takes_its_own_record(
    two: Two, kind: str
) -> None:
    error = CoordinatorError("headscale.unsure", "it may have happened") if kind == "failed" else Killed()

    def deed() -> None:
        raise error

    counted = FaultWiring()
    two.answers(two.bob(), counted)
    sides: tuple[Side, ...] = ("before", "after")
    records = 0
    for number in range(1, len(counted.calls) + 1):
        for side in sides:
            bob = two.bob()
            where = f"{side} call {number}, {counted.calls[number - 1]}"
            wiring = FaultWiring(Fault(number, side, deed, lasting=kind == "killed"))
            assert two.answers(bob, wiring).error is not None, where
            records += len(two.there()[2]) > len(two.before[2])  # type: ignore[arg-type]  # users
            swept = bob.sweep()
            assert swept.failed == [], where
            assert two.there() == two.before, where
            assert bob.ledger.entries() == [], where
    if kind == "killed":
        assert records, "no record was left for the sweep"


def test_ones_own_tunnel_ends_whole_beside_the_record_of_a_tool_that_was_refused_and_died(two: Two) -> None:
    device = two.ann.tunnel[:8]
    two.ann.standing_headscale.face().create_user(f"st-{device}-t-7-{THEIRS}-1999999999")
    everybody_stops(two.ann)
    assert two.ann.left() == [f"on the standing server: user st-{device}-t-7-{THEIRS}-1999999999"]


def test_closed_by_the_server_alone_it_goes_with_every_record_of_it(two: Two) -> None:
    two.ann.standing_headscale.face().create_user(f"st-{two.ann.tunnel[:8]}-t-7-{THEIRS}-1999999999")
    assert close(two.bob().admin_ports(), two.ann.tunnel).trouble is None
    assert two.ann.left_on_standing() == []


def test_closed_while_its_rule_and_its_helpers_keys_were_made_it_is_over_and_they_go(
    make_world: Callable[..., World], library: Library
) -> None:
    world = make_world(library=library, transports=HEADSCALE)
    world.has_standing()
    world.helpers = (HANA,)
    world.owner_agrees()
    usual = world.own_node.way_to

    def closed_meanwhile(tunnel: TunnelId, peer: str) -> str:
        face = world.standing_headscale.face()
        (way,) = look(face).passages
        end(face, world.clock, way.device, Teardown())
        open_passage(face, world.clock, way)  # what this tool was about to write when it was closed
        return usual(tunnel, peer)

    world.own_node.way_to = closed_meanwhile  # type: ignore[method-assign,assignment]  # the last moment before the helpers' keys
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert isinstance(admin.error, WrongState)
    assert admin.error.code == "tunnel.over"
    assert any("--h-hana" in tag for key in world.standing_headscale.keys.values() for tag in key.tags)
    assert world.left_on_admin() == []


# --- the record ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Server:
    return Server()


def second_record(server: Server, seconds: int) -> str:
    end_ = int(server.clock.now().timestamp()) + seconds
    return server.face.create_user(f"st-{A.device}-{A.ticket}-{THEIRS}-{end_}").id


def test_a_second_tools_record_neither_ends_the_first_tunnel_early_nor_outlives_its_shortening(server: Server) -> None:
    server.opened(A)
    second = second_record(server, 60)
    server.clock.advance(61)
    assert look(server.face).over(server.clock.now()) == []
    assert reap(server.face, server.clock).ended == []
    shorten(server.face, A.device, OURS, 600)
    assert second not in server.headscale.users
    assert look(server.face).stays[A.device].nonce == OURS
    with pytest.raises(WrongState):
        shorten(server.face, A.device, THEIRS, 300)


def test_shortening_that_breaks_off_leaves_the_tunnel_its_own_tools(server: Server) -> None:
    for number in range(1, 8):
        for side in ("before", "after"):
            server = Server()
            server.opened(A)
            second_record(server, 2 * HOUR)

            def deed() -> None:
                raise Killed

            wiring = FaultWiring(Fault(number, side, deed, lasting=True))
            with suppress(Killed):
                shorten(wiring.wrap("coordinator", server.face), A.device, OURS, 60)
            ending = Teardown()
            assert leave(server.face, server.clock, A.device, OURS, ending) is False, (number, side)
            assert ending.failures == []
            assert server.headscale.nodes == {}, (number, side)


def test_a_tunnel_that_begins_while_the_first_tools_end_runs_keeps_what_it_has(server: Server) -> None:
    """The first one's tunnel was over already; whoever asks next has the same code."""

    class Meanwhile(FakeCoordinator):
        looks = 0

        def nodes(self):  # type: ignore[no-untyped-def]  # as FakeCoordinator's
            self.looks += 1
            if self.looks == 2:  # after the first look, which saw nobody's
                begin(server.face, A.device, A.ticket, nonce=THEIRS, seconds=HOUR, limits=Limits())
                server.face.create_join_key(600, tags=[A.device_tag])
            return super().nodes()

    face = Meanwhile(server.headscale, server.headscale.mint_api_key(HOUR).text)
    leave(face, server.clock, A.device, OURS, Teardown())
    assert face.looks > 2
    assert any(line.startswith("key ") for line in server.left())
    assert A.device in look(server.face).stays
    end(server.face, server.clock, A.device, Teardown())
    assert server.left() == []
