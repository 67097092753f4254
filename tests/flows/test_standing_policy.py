"""A standing server whose policy fails once, or is somebody else's: a live tunnel of the same ticket keeps all it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.ports import StoredPolicy
from support_tunnel.core.tailnet import read_policy
from support_tunnel.flows.admin.headscale_status import headscale_status
from support_tunnel.flows.library import Library
from support_tunnel.flows.standing import end, look, reap
from support_tunnel.flows.teardown import Teardown
from support_tunnel.testing.fake_headscale import FakeCoordinator
from tests.flows.test_standing import HOUR, A, B, Server
from tests.flows.test_standing_play import HEADSCALE
from tests.flows.world import World

FOREIGN = '{"grants": []}'


class Once(FakeCoordinator):
    """The policy's `fails`-th reading breaks off, or every one up to it."""

    fails, readings, lasting = 0, 0, False

    def policy(self) -> StoredPolicy | None:
        self.readings += 1
        if self.readings == self.fails or (self.lasting and self.readings < self.fails):
            raise CoordinatorError("headscale.unavailable", "500")
        return super().policy()


def faced(server: Server, fails: int = 0) -> Once:
    face = Once(server.headscale, server.headscale.mint_api_key(HOUR).text)
    face.fails = fails
    return face


def both() -> Server:
    server = Server()
    server.opened(A, seconds=600)
    server.opened(B)
    return server


def kept_by(server: Server) -> tuple[object, ...]:
    """B's: its nodes, those of the helper whom it names, and their keys."""
    return (
        [node for node in server.headscale.nodes.values() if set(node.tags) & set(B.tags)],
        [key for key in server.headscale.keys.values() if set(key.tags) & set(B.tags)],
        [user for user in server.headscale.users.values() if B.device in user.name],
    )


def test_a_policy_that_fails_once_in_any_step_takes_nothing_from_a_live_tunnel_of_the_ticket() -> None:
    server = both()
    whole = faced(server)
    end(whole, server.clock, A.device, Teardown())
    assert whole.readings > 5
    for number in range(1, whole.readings + 1):
        server = both()
        before, ending = kept_by(server), Teardown()
        end(faced(server, number), server.clock, A.device, ending)
        assert kept_by(server) == before, f"reading {number}"
        assert not any(A.device_tag in node.tags for node in server.headscale.nodes.values()), f"reading {number}"
        server.clock.advance(601)
        assert reap(server.face, server.clock).failed == [], f"reading {number}"
        assert kept_by(server)[0] == before[0], f"reading {number}"
        assert [passage.device for passage in look(server.face).passages] == [B.device]
        assert not any("--h-hana" in tag for node in server.headscale.nodes.values() for tag in node.tags)


def test_the_record_goes_only_where_the_policy_was_read_while_looking_whether_anything_is_left() -> None:
    """Else a helper who could have been the other tunnel's would be left with no record of whose she was."""
    undisturbed = both()
    whole = faced(undisturbed)
    end(whole, undisturbed.clock, A.device, Teardown())
    for number in range(1, whole.readings + 2):
        server = both()
        face = faced(server, number)
        face.lasting = True
        end(face, server.clock, A.device, Teardown())
        hana = any("--h-hana" in tag for node in server.headscale.nodes.values() for tag in node.tags)
        assert A.device in look(server.face).stays or not hana, f"up to reading {number}"


def test_with_somebody_elses_policy_a_live_tunnel_of_the_ticket_keeps_its_helpers() -> None:
    server = both()
    before = kept_by(server)
    server.face.set_policy(FOREIGN)
    ending = Teardown()
    end(server.face, server.clock, A.device, ending)
    assert kept_by(server) == before
    assert not any(A.device_tag in node.tags for node in server.headscale.nodes.values())
    assert not ending.steps[-1].done


def test_with_somebody_elses_policy_the_reaper_cuts_off_what_is_over_and_says_what_is_wrong() -> None:
    server = both()
    server.of_others()
    written = server.headscale.policy
    assert written is not None
    before = kept_by(server)
    server.face.set_policy(FOREIGN)
    server.clock.advance(601)
    said = reap(server.face, server.clock, dry_run=True)
    assert len(said.ended) == 1
    assert [what for what, _ in said.failed] == ["policy"]
    reaped = reap(server.face, server.clock)
    assert reaped.failed[0][0] == "policy"
    assert "not written by support-tunnel" in reaped.failed[0][1]
    assert kept_by(server)[0] == before[0]
    assert {"d-aaaaaaaa"} & {node.name for node in server.headscale.nodes.values()} == set()
    assert A.device in look(server.face).stays, "the record of what is left in the policy"
    server.headscale.policy = written
    assert reap(server.face, server.clock).failed == []
    assert list(look(server.face).stays) == [B.device]
    assert server.headscale.policy is not None
    assert read_policy(server.headscale.policy.text) == (B,)


def test_with_somebody_elses_policy_nothing_is_taken_for_astray() -> None:
    server = both()
    server.face.set_policy(FOREIGN)
    before = kept_by(server)
    assert reap(server.face, server.clock).ended == []
    assert kept_by(server) == before


def test_the_status_names_a_policy_of_somebody_else(make_world: Callable[..., World], library: Library) -> None:
    world = make_world(library=library, transports=HEADSCALE)
    world.has_standing()
    world.connect()
    world.standing_headscale.face().set_policy(FOREIGN)
    health = headscale_status(world.admin_ports())
    assert any("not written by support-tunnel" in problem for problem in health.problems)
    assert [stay.device for stay in health.tunnels] == [world.tunnel[:8]]


# --- what goes first -----------------------------------------------------------------------------------------------------


def test_the_devices_node_goes_before_anything_else_is_asked_for() -> None:
    server, done = both(), list[str]()

    class Noted(FakeCoordinator):
        def delete_node(self, node: str) -> None:
            done.append(server.headscale.nodes[node].name)
            super().delete_node(node)

        def expire_join_key(self, key: str) -> None:
            done.append("key")
            super().expire_join_key(key)

    end(Noted(server.headscale, server.headscale.mint_api_key(HOUR).text), server.clock, B.device, Teardown())
    end(Noted(server.headscale, server.headscale.mint_api_key(HOUR).text), server.clock, A.device, Teardown())
    assert done[0] == "d-bbbbbbbb"
    assert done[1] == "d-aaaaaaaa"
    assert done[2] == "key"
    assert "h-hana" in done[3:]


@pytest.mark.parametrize("code", ["headscale.unavailable", "headscale.absent"])
def test_a_key_that_fails_leaves_no_other_good_and_one_that_is_gone_is_fine(code: str) -> None:
    server = Server()
    server.opened(A)
    for _ in range(2):
        server.face.create_join_key(600, tags=[A.helper_tag("hana")])
    first = next(key.id for key in look(server.face).keys if not key.used)

    class Broken(FakeCoordinator):
        def expire_join_key(self, key: str) -> None:
            super().expire_join_key(key)
            if key == first:
                raise CoordinatorError(code, "this one")

    ending = Teardown()
    end(Broken(server.headscale, server.headscale.mint_api_key(HOUR).text), server.clock, A.device, ending)
    good = [key for key in server.headscale.keys.values() if not key.used and key.expires > server.clock.now()]  # type: ignore[operator]  # ours end
    assert good == []
    assert [step.done for step in ending.steps if step.what == "join keys expired"] == [code == "headscale.absent"]


# --- one tag for each name of a ticket -----------------------------------------------------------------------------------


def test_two_helpers_of_one_name_under_one_ticket_share_a_tag_which_is_written_down() -> None:
    """docs/threats.md says so: a ticket is one circle of helpers; who may log in is in each session."""
    assert A.helper_tag("ann") == B.helper_tag("ann")
    assert A.device_tag != B.device_tag
    server = both()
    (first, second) = look(server.face).passages
    assert set(first.helpers) & set(second.helpers) == {"ann"}
