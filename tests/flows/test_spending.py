"""The account in the flow: a server is on it before it is made, until it is gone; beyond the cap none is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from support_tunnel.core.errors import CloudError, SupportTunnelError
from support_tunnel.flows.admin.spending import cost
from tests.flows.world import World


def refused(world: World, **asked: object) -> SupportTunnelError:
    device = world.turns.start(world.request)
    admin = world.turns.start(lambda: world.answer(**asked))  # type: ignore[arg-type]  # as given
    world.turns.run(until=lambda: admin.ended)
    world.turns.kill(device)
    assert isinstance(admin.error, SupportTunnelError), admin.error
    assert world.cloud.everything() == [world.foreign]
    assert world.ledger.entries() == []
    return admin.error


def priced(world: World, monkeypatch: pytest.MonkeyPatch, hourly: float | None) -> None:
    monkeypatch.setattr(world.cloud, "hourly", lambda: hourly)


def test_a_server_is_on_the_account_until_it_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    priced(world, monkeypatch, 0.5)
    began = world.clock.now()
    world.connect()
    (rental,) = world.account.rentals()
    assert (rental.tunnel, rental.cloud, rental.ended) == (world.tunnel, "fake", None)
    assert rental.began - began < timedelta(minutes=1)
    (running,) = cost(world.admin_ports()).running
    assert (running.server.tags["st-tunnel"], running.hourly) == (world.tunnel, 0.5)
    world.clock.pause(600)
    world.turns.start(world.stop_by_admin)
    world.turns.run()
    (ended,) = world.account.rentals()
    assert ended.ended is not None
    assert ended.ended - began > timedelta(minutes=10)
    found = cost(world.admin_ports())
    hours = (ended.ended - ended.began).total_seconds() / 3600
    assert list(found.running) == []
    assert found.month.dollars == pytest.approx(0.5 * hours)


def test_what_is_beyond_the_cap_is_not_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    priced(world, monkeypatch, 100.0)
    assert refused(world, spend_cap=20.0).code == "cost.cap"
    assert list(world.account.rentals()) == []


def test_within_the_cap_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    priced(world, monkeypatch, 0.01)
    device = world.turns.start(world.request)
    world.owner_agrees()
    admin = world.turns.start(lambda: world.answer(spend_cap=20.0))
    world.turns.run(device, admin)
    assert (device.error, admin.error) == (None, None)
    assert [rental.hourly for rental in world.account.rentals()] == [0.01]


@pytest.mark.parametrize("price", [None, CloudError("cloud.auth", "")], ids=["nobody says", "not now"])
def test_with_a_cap_and_no_price_none_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch, price: CloudError | None
) -> None:
    def hourly() -> float | None:
        if price:
            raise price
        return None

    monkeypatch.setattr(world.cloud, "hourly", hourly)
    assert refused(world, spend_cap=20.0).code == "cost.unknown"


def test_without_a_cap_no_cloud_is_asked_for_its_price(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def hourly() -> float | None:
        raise AssertionError("a request for nothing")

    monkeypatch.setattr(world.cloud, "hourly", hourly)
    world.connect()
    assert [rental.hourly for rental in world.account.rentals()] == [None]


def test_one_that_is_left_by_a_killed_tool_is_reckoned_to_its_own_end(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(policy=True)
    priced(world, monkeypatch, 1.0)
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(until=lambda: len(world.cloud.everything()) > 1)
    world.turns.kill(admin)
    world.turns.kill(device)
    (rental,) = world.account.rentals()
    found = cost(world.admin_ports()).month
    assert found.dollars == pytest.approx((rental.until - rental.began).total_seconds() / 3600)


def test_a_cloud_that_cannot_be_asked_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def servers() -> object:
        raise CloudError("cloud.auth", "refused our credentials")

    monkeypatch.setattr(world.cloud, "servers", servers)
    assert list(cost(world.admin_ports()).failed) == [("fake", "refused our credentials")]
