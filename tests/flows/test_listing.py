"""Looking at tunnels: one's own are always seen, those of others only while the API answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Mailbox
from support_tunnel.core.secret import Secret
from support_tunnel.flows.admin.listing import detail, find, listing
from tests.flows.world import World

AWAY = HostError("api.unreachable", "nobody answers")


def away(claim: Secret[bytes] | None) -> Mailbox:
    raise AWAY


def requested(world: World) -> None:
    """A device waits, and nobody has answered."""
    world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None and bool(world.office.boxes))


def test_a_request_that_waits_is_not_ours(world: World) -> None:
    requested(world)
    seen = listing(world.admin_ports())
    assert [(row.tunnel, row.state, row.mine) for row in seen.rows] == [(world.tunnel, "waiting", False)]
    assert seen.unseen is None
    found = detail(world.admin_ports(), world.tunnel[:6])
    assert (found.state, found.own, found.at_api, found.server_name) == ("waiting", None, "open", "")


def test_a_tunnel_of_ours_is_listed_once_and_whole(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    assert [(row.state, row.mine) for row in listing(world.admin_ports()).rows] == [("connected", True)]
    found = detail(world.admin_ports(), world.tunnel[:4])
    assert found.own is not None
    assert found.api is not None
    assert (found.state, found.at_api, found.api.answered_by) == ("connected", "open", "admin")
    assert set(found.api.slots) >= {"offer", "answer", "confirm", "ready"}
    assert found.server_name in {server.name for server in world.cloud.servers()}


def test_an_api_that_is_away_hides_nothing_of_ours(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    seen = listing(world.admin_ports(mailbox_for=away))
    assert [row.tunnel for row in seen.rows] == [world.tunnel]
    assert seen.unseen is AWAY
    found = detail(world.admin_ports(mailbox_for=away), world.tunnel)
    assert (found.state, found.at_api, found.unseen) == ("connected", "unknown", AWAY)


def test_what_cannot_be_seen_is_not_called_absent(world: World) -> None:
    with pytest.raises(HostError) as refused:
        detail(world.admin_ports(mailbox_for=away), "abcd1234")
    assert refused.value is AWAY


@pytest.mark.parametrize(
    ("text", "family", "code"),
    [
        ("abc", UsageError, "tunnel.id"),
        ("../..", UsageError, "tunnel.id"),
        ("", UsageError, "tunnel.id"),
        ("abcd1234", WrongState, "tunnel.unknown"),
    ],
)
@pytest.mark.parametrize("look", [find, detail])
def test_an_id_that_names_nothing(
    world: World, look: Callable[..., object], text: str, family: type[SupportTunnelError], code: str
) -> None:
    with pytest.raises(family) as refused:
        look(world.admin_ports(), text)
    assert refused.value.code == code


def test_digits_that_fit_two_tunnels_name_neither(world: World) -> None:
    requested(world)
    box = world.office.boxes.pop(world.tunnel)
    first, second = (TunnelId("abcd" + digit * 28) for digit in "01")
    world.office.boxes |= {first: box, second: box}
    with pytest.raises(UsageError) as refused:
        detail(world.admin_ports(), "abcd")
    assert refused.value.code == "tunnel.ambiguous"
    assert detail(world.admin_ports(), "abcd1").tunnel == second
