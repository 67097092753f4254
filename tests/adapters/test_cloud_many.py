"""Many servers of one cloud end at once: few lists prove it, and each that could not be proved gone is named, and no other.

The cloud is the one of memory_cloud.py, with firewalls in a list beside its servers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import InvalidCredsError
from libcloud.compute.base import Node
from libcloud.compute.types import NodeState

from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.clouds.row import Firewall, Opened
from support_tunnel.core.errors import CloudError
from support_tunnel.testing.clock import ManualClock
from tests.adapters.memory_cloud import MemoryDriver, clock, driver, fails, memory

__all__ = ["clock", "driver"]

MANY = 200


class Walls:
    """Firewalls, each of a tunnel of its own; `stuck` are in use by something that nobody sees."""

    def __init__(self) -> None:
        self.open: dict[str, Opened] = {}
        self.stuck: set[str] = set()
        self.lists = 0
        self.before_list: Callable[[], None] = lambda: None
        self.before_close: Callable[[], None] = lambda: None

    def row(self) -> Firewall:
        return Firewall(open=lambda *_: None, listed=self._listed, close=self._close)

    def _listed(self, *_: object) -> list[Opened]:
        self.lists += 1
        self.before_list()
        return [*self.open.values()]

    def _close(self, _driver: Any, wall: Opened, _told: Any) -> None:
        self.before_close()
        if wall.id in self.stuck:
            raise BaseHTTPError(400, "resource_in_use")
        del self.open[wall.id]


@pytest.fixture
def walls() -> Walls:
    return Walls()


@pytest.fixture
def cloud(driver: MemoryDriver, clock: ManualClock, walls: Walls) -> LibcloudCloud:
    return LibcloudCloud("memory", {}, clock, rows={"memory": memory(driver, walls.row())})


def fill(driver: MemoryDriver, walls: Walls, number: int) -> list[str]:
    """Servers n0, n1 and so on, with the firewalls w0, w1 and so on."""
    for each in range(number):
        tags = {"st-tunnel": f"{each:032x}"}
        driver.nodes.append(
            Node(f"n{each}", f"st-{each}", NodeState.RUNNING, ["192.0.2.1"], [], driver, extra={"tags": tags})
        )
        walls.open[f"w{each}"] = Opened(f"w{each}", f"st-{each}", tags)
    return [node.id for node in driver.nodes]


def count_lists(driver: MemoryDriver) -> list[None]:
    lists: list[None] = []
    driver.before_list = lambda: lists.append(None)
    return lists


@pytest.mark.parametrize("number", [1, 2, MANY])
def test_many_need_no_more_lists_than_one(
    cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls, number: int
) -> None:
    servers, lists = fill(driver, walls, number), count_lists(driver)
    assert cloud.destroy_all(servers) == {}
    assert driver.nodes == [] == [*walls.open]
    assert (len(lists), walls.lists) == (2, 2), "what is there, and that it is gone"


def test_one_undead_among_many_is_named_and_the_others_are_gone_with_their_firewalls(
    cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls
) -> None:
    servers = fill(driver, walls, MANY)
    driver.undead = {"n77"}
    troubles = cloud.destroy_all(servers)
    assert {name: trouble.code for name, trouble in troubles.items()} == {"n77": "cloud.still-there"}
    assert "n77" in troubles["n77"].next_step
    assert [node.id for node in driver.nodes] == ["n77"]
    assert [*walls.open] == ["w77"], "it still needs its ports"


def test_one_whose_end_is_refused_is_named_alone(cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls) -> None:
    servers = fill(driver, walls, MANY)
    once = threading.Lock()
    driver.before_destroy = lambda: fails(InvalidCredsError("no"))() if once.acquire(blocking=False) else None
    troubles = cloud.destroy_all(servers)
    assert [trouble.code for trouble in troubles.values()] == ["cloud.auth"]
    assert [node.id for node in driver.nodes] == [*troubles]


def test_where_the_list_fails_no_server_counts_as_gone(
    cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls
) -> None:
    servers = fill(driver, walls, 5)
    asked = iter([lambda: None, fails(InvalidCredsError("no"))])
    driver.before_list = lambda: next(asked)()
    assert {name: trouble.code for name, trouble in cloud.destroy_all(servers).items()} == dict.fromkeys(
        servers, "cloud.auth"
    )
    assert len(walls.open) == 5, "no firewall goes before its server is proved gone"


def test_what_was_proved_gone_by_one_list_stays_so_when_the_next_fails(
    cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls
) -> None:
    servers = fill(driver, walls, 5)
    driver.undead = {"n3"}
    asked = iter([lambda: None, lambda: None, fails(InvalidCredsError("no"))])
    driver.before_list = lambda: next(asked)()
    assert {name: trouble.code for name, trouble in cloud.destroy_all(servers).items()} == {"n3": "cloud.auth"}
    assert [*walls.open] == ["w3"]


def test_what_is_not_ours_is_refused_by_name_and_what_is_not_there_is_gone(
    cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls
) -> None:
    servers = fill(driver, walls, 3)
    driver.nodes[1].extra["tags"] = {"team": "web"}
    troubles = cloud.destroy_all([*servers, "never", "firewall:never"])
    assert {name: trouble.code for name, trouble in troubles.items()} == {"n1": "cloud.foreign"}
    assert [node.id for node in driver.nodes] == ["n1"]


@pytest.mark.parametrize("named", ["n2", "firewall:w2"])
def test_a_firewall_that_stays_is_the_trouble_of_what_was_to_end(
    cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls, named: str
) -> None:
    servers = fill(driver, walls, 5)
    walls.stuck = {"w2"}
    if named != "n2":
        driver.nodes.clear()
        servers = [f"firewall:{wall}" for wall in walls.open]
    troubles = cloud.destroy_all(servers)
    assert {name: trouble.code for name, trouble in troubles.items()} == {named: "cloud.still-there"}
    assert [*walls.open] == ["w2"]
    assert driver.nodes == []


@pytest.mark.parametrize("where", ["list", "close"])
def test_a_firewall_that_nobody_may_look_at_or_close_is_told(
    cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls, where: str
) -> None:
    servers = fill(driver, walls, 3)
    setattr(walls, f"before_{where}", fails(InvalidCredsError("no")))
    troubles = cloud.destroy_all(servers)
    assert {name: trouble.code for name, trouble in troubles.items()} == dict.fromkeys(servers, "cloud.auth")
    assert len(walls.open) == 3


SLOW = "retry-after"


def test_when_a_cloud_asks_to_slow_down_no_thread_asks_it_anything_for_so_long(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock
) -> None:
    asked: list[float] = []

    def meanwhile() -> None:
        clock.on_pause = None
        cloud.servers()

    clock.on_pause = meanwhile
    first = iter([fails(RateLimitReachedError(headers={SLOW: "30"}))])
    driver.before_list = lambda: next(first, lambda: asked.append(clock.monotonic()))()
    cloud.servers()
    assert len(asked) == 2
    assert min(asked) >= 30


def test_no_cloud_keeps_us_waiting_for_an_hour(cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock) -> None:
    driver.before_list = fails(RateLimitReachedError(headers={SLOW: "3600"}))
    with pytest.raises(CloudError) as failed:
        cloud.servers()
    assert failed.value.code == "cloud.rate"
    assert clock.monotonic() == 5 * 60


def test_one_trouble_is_raised_as_ever(cloud: LibcloudCloud, driver: MemoryDriver, walls: Walls) -> None:
    fill(driver, walls, 2)
    driver.undead = {"n1"}
    with pytest.raises(CloudError, match="still lists server n1"):
        cloud.destroy("n1")
    cloud.destroy("n0")
    assert [*walls.open] == ["w1"]
