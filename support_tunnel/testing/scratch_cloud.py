"""A local cloud of a test's own, in a folder and on a network that no user's nodes are on; nothing of it stays, or it says so."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud import leaks
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.layout import DEFAULT_ROOT
from support_tunnel.core.errors import HostError
from support_tunnel.core.waiting import wait_for

__all__ = ["ready", "scratch_cloud", "start"]

_BOOT = 180.0  # three seconds by itself; thirty nodes that boot on two cores take their time
_NAME = f"{DEFAULT_ROOT.name}-test-"


@contextmanager
def scratch_cloud() -> Iterator[LocalNodeDriver]:
    """Give a driver with no nodes; end all of them afterwards. Raises HostError `cloud.leak` when something stays."""
    _end_orphans()
    root = DEFAULT_ROOT.with_name(f"{_NAME}{os.getpid()}-{secrets.token_hex(4)}")
    driver = LocalNodeDriver(root)
    try:
        yield driver
    finally:
        driver.ex_destroy_all()
        if left := leaks.find(root):
            raise HostError("cloud.leak", f"a local cloud left behind: {'; '.join(left)}")


def _end_orphans() -> None:
    """End the clouds of test runs that were killed, which had no chance to do it themselves."""
    for root in DEFAULT_ROOT.parent.glob(f"{_NAME}*"):
        pid = root.name.removeprefix(_NAME).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            LocalNodeDriver(root).ex_destroy_all()


def start(driver: LocalNodeDriver, name: str, image: str = "host", **arguments: Any) -> Any:
    """Make a node and return it, as libcloud's Node, once it is ready."""
    offered = {item.id: item for item in driver.list_images()}
    node = driver.create_node(name, driver.list_sizes()[0], offered[image], **arguments)
    return ready(driver, node)


def ready(driver: LocalNodeDriver, node: Any) -> Any:
    """Wait until sshd listens in the node and its cloud-init, if it has work, is done."""

    def look() -> Any | None:
        seen = next(other for other in driver.list_nodes() if other.id == node.id)
        if str(seen.state) == "stopped":
            console = driver.nodes.cloud.node(node.id).console.read_text(errors="replace").strip().splitlines()
            raise HostError("cloud.boot", f"{node.name} did not boot: {' / '.join(console[-3:]) or 'no word from it'}")
        return seen if str(seen.state) == "running" else None

    return wait_for(look, what=f"boot of {node.name}", seconds=_BOOT, clock=SystemClock())
