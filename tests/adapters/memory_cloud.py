"""A libcloud driver of the tests' own, in memory; only what it answers, and when, is made up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

import pytest
import requests
from libcloud.compute.base import Node, NodeDriver, NodeLocation
from libcloud.compute.types import NodeState

from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.clouds.row import CloudRow, Firewall
from support_tunnel.core.ports import ServerSpec
from support_tunnel.testing.clock import ManualClock

__all__ = ["SPEC", "TIMEOUT", "MemoryDriver", "after", "clock", "cloud", "driver", "fails", "memory"]

SPEC = ServerSpec("one", "#cloud-config\n", datetime(2030, 1, 1, tzinfo=UTC), {"st-tunnel": "5a" * 16})
TIMEOUT = requests.ReadTimeout("read timed out")


class MemoryDriver(NodeDriver):  # type: ignore[misc]  # libcloud has no types
    """Servers in a list. `before_create`, `after_create`, `before_list` and `before_destroy` are where a cloud goes wrong."""

    type = "memory"

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ids = count()
        self.copies = 1
        self.deaf_to_destroy = 0
        self.undead: set[str] = set()
        self.lock = threading.Lock()
        self.locations = [NodeLocation("here", "here", "", self)]
        self.before_create: Callable[[], None] = lambda: None
        self.after_create: Callable[[], None] = lambda: None
        self.before_list: Callable[[], None] = lambda: None
        self.before_destroy: Callable[[], None] = lambda: None

    def list_locations(self) -> list[NodeLocation]:
        return self.locations

    def list_nodes(self) -> list[Node]:
        self.before_list()
        return list(self.nodes)

    def create_node(self, name: str, tags: dict[str, str]) -> Node:
        self.before_create()
        for _ in range(self.copies):
            self.nodes.append(
                Node(f"n{next(self.ids)}", name, NodeState.RUNNING, ["192.0.2.1"], [], self, extra={"tags": tags})
            )
        self.after_create()
        return self.nodes[-1]

    def destroy_node(self, node: Node) -> bool:
        self.before_destroy()
        with self.lock:
            if self.deaf_to_destroy:
                self.deaf_to_destroy -= 1
            elif node.id not in self.undead:
                self.nodes = [other for other in self.nodes if other.id != node.id]
        return True


def fails(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


def after(times: int, error: Exception, then: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """Fail so many times."""
    left = [times]

    def fail() -> None:
        if left[0]:
            left[0] -= 1
            raise error
        then()

    return fail


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def memory(driver: MemoryDriver, firewall: Firewall | None = None) -> CloudRow:
    return CloudRow(
        name="memory",
        connect=lambda _: driver,
        arguments=lambda _driver, spec, _told, _opened: {"tags": dict(spec.tags)},
        tags=lambda node: node.extra["tags"],
        address=lambda node: str(node.public_ips[0]),
        genuine=lambda asked: bool(asked.list_locations()),
        firewall=firewall,
    )


@pytest.fixture
def cloud(driver: MemoryDriver, clock: ManualClock) -> LibcloudCloud:
    return LibcloudCloud("memory", {}, clock, rows={"memory": memory(driver)})
