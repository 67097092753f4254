"""A tunnel's stay on a standing server: how many, for how long, and that it ends whole wherever a tool or the server fails in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from support_tunnel.core.errors import CoordinatorError, WrongState
from support_tunnel.core.limits import Limits
from support_tunnel.core.ports import Coordinator
from support_tunnel.core.tailnet import Passage, read_policy
from support_tunnel.core.tailnet.stay import read_stay
from support_tunnel.flows.standing import Reaped, begin, end, look, reap, shorten
from support_tunnel.flows.tailnet import LEASE, LOCK, open_passage
from support_tunnel.flows.teardown import Teardown
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.fake_headscale import FakeCoordinator, FakeHeadscale

HOUR = 3600
OURS, THEIRS = "00000001", "00000002"
A = Passage("t-1", "aaaaaaaa", ("ann", "hana"), (47022,))
B = Passage("t-1", "bbbbbbbb", ("ann",), (47022,))


class Server:
    """A standing server with the tunnels that a test puts there."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.headscale = FakeHeadscale(self.clock)
        self.face = self.headscale.face()
        self.stranger = self.face.create_user("somebody").id

    def opened(self, passage: Passage, *, seconds: int = HOUR, coordinator: Coordinator | None = None) -> None:
        face = coordinator or self.face
        begin(face, passage.device, passage.ticket, nonce=OURS, seconds=seconds, limits=Limits())
        open_passage(face, self.clock, passage)
        for tag in passage.tags:
            self.headscale.join(face.create_join_key(600, tags=[tag]).text, tag.rpartition("--")[2])
        face.create_join_key(600, tags=[passage.helper_tag("ann")])  # one that nobody used
        open_passage(face, self.clock, passage)

    def of_others(self) -> None:
        self.headscale.join(self.face.create_join_key(600, user=self.stranger).text, "laptop")

    def left(self) -> list[str]:
        seen = look(self.face)
        good = [key for key in seen.keys if not key.used and (key.expires is None or key.expires > self.clock.now())]
        return [
            *(f"node {node.name}" for node in seen.nodes if node.user != self.stranger),
            *(f"key {key.id}" for key in good),
            *(f"rule of {passage.device}" for passage in seen.passages),
            *(f"user {user.name}" for user in seen.users if user.id != self.stranger),
        ]


@pytest.fixture
def server() -> Server:
    return Server()


def ended(server: Server, device: str, coordinator: Coordinator | None = None) -> Teardown:
    ending = Teardown()
    end(coordinator or server.face, server.clock, device, ending)
    return ending


# --- how many, how long ---------------------------------------------------------------------------------------------


def test_the_sixth_at_once_is_refused_and_leaves_no_record(server: Server) -> None:
    for number in range(5):
        begin(server.face, f"{number:08x}", "t", nonce=OURS, seconds=HOUR, limits=Limits())
    with pytest.raises(WrongState) as refused:
        begin(server.face, "ffffffff", "t", nonce=OURS, seconds=HOUR, limits=Limits())
    assert refused.value.code == "tunnels.full"
    assert "tunnel.close" in refused.value.next_step
    assert len(look(server.face).stays) == 5
    ended(server, "00000000")
    begin(server.face, "ffffffff", "t", nonce=OURS, seconds=HOUR, limits=Limits())


def test_two_tools_at_the_last_place_do_not_both_get_it(server: Server) -> None:
    class Meanwhile(FakeCoordinator):
        done = False

        def users(self):  # type: ignore[no-untyped-def]  # the other tool, between making and looking
            if not self.done:
                self.done = True
                server.face.create_user("st-bbbbbbbb-t-00000002-1999999999")
            return super().users()

    other = Meanwhile(server.headscale, server.headscale.mint_api_key(HOUR).text)
    with pytest.raises(WrongState, match="at once"):
        begin(other, "aaaaaaaa", "t", nonce=OURS, seconds=HOUR, limits=Limits(at_once=1))
    assert list(look(server.face).stays) == ["bbbbbbbb"]


def test_a_tunnel_that_is_there_already_is_not_taken_over(server: Server) -> None:
    server.opened(A)
    with pytest.raises(WrongState) as refused:
        begin(server.face, A.device, A.ticket, nonce=THEIRS, seconds=2 * HOUR, limits=Limits())
    assert refused.value.code == "tailnet.taken"
    assert look(server.face).stays[A.device].until == server.clock.now().replace(microsecond=0) + timedelta(hours=1)


def test_a_record_whose_making_broke_off_is_found_by_its_name(server: Server) -> None:
    class Unsure(FakeCoordinator):
        def create_user(self, name):  # type: ignore[no-untyped-def]  # done, and then the connection broke
            super().create_user(name)
            raise CoordinatorError("headscale.unsure", "it may have happened")

    begin(
        Unsure(server.headscale, server.headscale.mint_api_key(HOUR).text),
        A.device,
        "t",
        nonce=OURS,
        seconds=HOUR,
        limits=Limits(),
    )
    assert list(look(server.face).stays) == [A.device]


def test_an_end_comes_closer_and_never_goes_further_away(server: Server) -> None:
    begin(server.face, A.device, "t", nonce=OURS, seconds=HOUR, limits=Limits())
    first = look(server.face).stays[A.device].until
    shorten(server.face, A.device, OURS, 2 * HOUR)
    assert look(server.face).stays[A.device].until == first
    shorten(server.face, A.device, OURS, 600)
    assert look(server.face).stays[A.device].until == first - timedelta(seconds=HOUR - 600)
    assert len(server.headscale.users) == 2  # and somebody's
    ended(server, A.device)
    with pytest.raises(WrongState):
        shorten(server.face, A.device, OURS, 600)


# --- the end --------------------------------------------------------------------------------------------------------


def test_the_end_names_every_step_and_leaves_the_other_tunnel_and_others_alone(server: Server) -> None:
    server.opened(A)
    server.opened(B)
    server.of_others()
    ending = ended(server, A.device)
    assert [step.what for step in ending.steps] == [
        "the device's node deleted",
        "join keys expired",
        "the other nodes deleted",
        "the server's lists read again: no node, no key that lets in",
        "the policy lets nobody in, read back",
        "the tunnel's user deleted",
    ]
    assert all(step.done for step in ending.steps)
    assert ending.steps[0].words.startswith("d-aaaaaaaa")
    assert "h-hana" in ending.steps[2].words
    assert "h-ann" not in ending.steps[2].words, "another tunnel of the ticket has her too"
    assert read_policy(server.headscale.policy.text) == (B,)  # type: ignore[union-attr]  # it was set
    ended(server, B.device)
    assert server.left() == []
    assert [node.name for node in server.headscale.nodes.values()] == ["laptop"]
    assert list(server.headscale.users) == [server.stranger]


def test_ending_it_again_is_fine(server: Server) -> None:
    server.opened(A)
    ended(server, A.device)
    assert all(step.done for step in ended(server, A.device).steps)


@pytest.mark.parametrize("broken", ["delete_node", "expire_join_key", "set_policy", "join_keys", "nodes", "policy"])
def test_a_step_that_fails_is_named_the_rest_runs_and_the_record_stays(server: Server, broken: str) -> None:
    server.opened(A)

    class Broken(FakeCoordinator):
        def __getattribute__(self, name: str) -> object:
            if name == broken:
                raise CoordinatorError("headscale.unavailable", "500")
            return super().__getattribute__(name)

    ending = ended(server, A.device, Broken(server.headscale, server.headscale.mint_api_key(HOUR).text))
    assert len(ending.steps) == 6
    assert any("500" in step.words for step in ending.steps if not step.done)
    assert not ending.steps[-1].done
    assert A.device in look(server.face).stays
    if broken in ("expire_join_key", "set_policy", "policy"):
        assert server.headscale.nodes == {}, "reachability is cut whatever else does not work"
    server.clock.advance(2 * HOUR)
    assert reap(server.face, server.clock).failed == []
    assert server.left() == []


def test_a_policy_of_somebody_else_keeps_no_node_connected(server: Server) -> None:
    server.opened(A)
    server.face.set_policy('{"grants": []}')
    ending = ended(server, A.device)
    assert server.headscale.nodes == {}
    assert [step.done for step in ending.steps] == [True, True, True, True, False, False]
    assert "not written by support-tunnel" in ending.steps[4].words


# --- the reaper -----------------------------------------------------------------------------------------------------


def test_the_reaper_ends_what_is_past_its_end_by_the_servers_clock_and_nothing_else(server: Server) -> None:
    server.opened(A, seconds=600)
    server.opened(B, seconds=HOUR)
    server.of_others()
    assert reap(server.face, server.clock) == Reaped()
    server.clock.advance(601)
    said = reap(server.face, server.clock, dry_run=True)
    assert len(said.ended) == 1
    assert A.device in look(server.face).stays, "said, not done"
    assert reap(server.face, server.clock).ended == said.ended
    assert list(look(server.face).stays) == [B.device]
    assert {node.name for node in server.headscale.nodes.values()} == {"laptop", "d-bbbbbbbb", "h-ann", "h-ann-5"}


def test_what_has_no_record_is_removed_and_a_dead_lock_broken(server: Server) -> None:
    server.opened(A)
    server.opened(B)
    for user in [
        user for user in server.headscale.users.values() if (stay := read_stay(user.name)) and stay.device == A.device
    ]:
        server.face.delete_user(user.id)
    lock = server.face.create_user(LOCK).id
    found = reap(server.face, server.clock, dry_run=True).ended
    assert "a dead tool's lock of the policy" not in found
    server.headscale.users[lock] = replace(server.headscale.users[lock], created=server.clock.now() - LEASE)
    found = reap(server.face, server.clock).ended
    assert {"node d-aaaaaaaa of no tunnel", "node h-hana of no tunnel", "policy rule of aaaaaaaa"} <= set(found)
    ended(server, B.device)
    assert server.left() == []


@pytest.mark.parametrize("code", ["headscale.unavailable", "headscale.auth", "headscale.answer"])
@pytest.mark.parametrize("call", ["now", "nodes", "join_keys", "policy", "users"])
def test_a_server_that_cannot_be_read_whole_is_left_as_it_is(server: Server, call: str, code: str) -> None:
    server.opened(A, seconds=60)
    server.clock.advance(HOUR)
    before = server.left()

    class Broken(FakeCoordinator):
        def __getattribute__(self, name: str) -> object:
            if name == call:
                raise CoordinatorError(code, "500")
            return super().__getattribute__(name)

    with pytest.raises(CoordinatorError):
        reap(Broken(server.headscale, server.headscale.mint_api_key(HOUR).text), server.clock)
    assert server.left() == before


def test_a_key_that_leaks_after_its_use_opens_nothing_and_one_unused_ends_with_the_tunnel(server: Server) -> None:
    server.opened(A)
    texts = [server.headscale.text_of(key) for key in server.headscale.keys]
    used = [number for number, key in server.headscale.keys.items() if key.used]
    for number in used:
        with pytest.raises(CoordinatorError, match="already used"):
            server.headscale.join(server.headscale.text_of(number), "stranger")
    ended(server, A.device)
    for text in texts:
        with pytest.raises(CoordinatorError):
            server.headscale.join(text, "stranger")
