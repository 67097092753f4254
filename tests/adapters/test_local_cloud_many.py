"""Twenty hosts at once, on this machine: each its own, all ended at once by the port, and nothing of any is left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.local_cloud import leaks
from support_tunnel.core.ports import ServerSpec
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.scratch_cloud import scratch_cloud

pytestmark = pytest.mark.onebox

MANY = 20
END = datetime(2033, 5, 18, tzinfo=UTC)
KINDS = ("process", "mount", "network namespace", "control group")
"""Of each host. Folder and bridge are the cloud's own, and the end of the scratch cloud looks for those."""


def test_twenty_at_once_boot_and_end_and_nothing_is_left() -> None:
    clock = SystemClock()
    with scratch_cloud() as driver:
        cloud = LibcloudCloud("local", {"root": driver.key}, clock)

        def make(number: int) -> str:
            tags = {"st-tunnel": f"{number:032x}", "st-expires": "1999987200"}
            return cloud.create(ServerSpec(f"n{number}", "", END, tags, image="host")).id

        def all_run() -> bool | None:
            return True if [one.running for one in cloud.servers()] == [True] * MANY else None

        with ThreadPoolExecutor(MANY) as pool:
            made = list(pool.map(make, range(MANY)))
        wait_for(all_run, what="boot of all of them", seconds=600, clock=clock, longest_pause=2)
        assert len({server.address for server in cloud.servers()}) == MANY
        assert cloud.destroy_all(made) == {}
        assert list(cloud.servers()) == []
        left = leaks.find(driver.nodes.cloud.root)
        assert {kind for kind in KINDS if any(line.startswith(kind) for line in left)} == set()
