"""A local cloud of a test's own, in a folder and on a network that no user's nodes are on; nothing of it stays, or it says so."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud import leaks
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.layout import DEFAULT_ROOT
from support_tunnel.core.errors import HostError
from support_tunnel.core.waiting import wait_for

__all__ = ["ready", "scratch_cloud", "start"]

_BOOT = 60.0


@contextmanager
def scratch_cloud() -> Iterator[LocalNodeDriver]:
    """Give a driver with no nodes; end all of them afterwards. Raises HostError `cloud.leak` when something stays."""
    root = DEFAULT_ROOT.with_name(f"{DEFAULT_ROOT.name}-test-{secrets.token_hex(4)}")
    driver = LocalNodeDriver(root)
    try:
        yield driver
    finally:
        driver.ex_destroy_all()
        if left := leaks.find(root):
            raise HostError("cloud.leak", f"a local cloud left behind: {'; '.join(left)}")


def start(driver: LocalNodeDriver, name: str, image: str = "host", **arguments: Any) -> Any:
    """Make a node and return it, as libcloud's Node, once it is ready."""
    offered = {item.id: item for item in driver.list_images()}
    node = driver.create_node(name, driver.list_sizes()[0], offered[image], **arguments)
    return ready(driver, node)


def ready(driver: LocalNodeDriver, node: Any) -> Any:
    """Wait until sshd listens in the node and its cloud-init, if it has work, is done."""

    def look() -> Any | None:
        return next((seen for seen in driver.list_nodes() if seen.id == node.id and str(seen.state) == "running"), None)

    return wait_for(look, what=f"boot of {node.name}", seconds=_BOOT, clock=SystemClock())
