"""How long a host of the local cloud takes: from asking for it to logged in by ssh, and from ending it to gone; one, and twenty at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from libcloud.compute.base import NodeAuthSSHKey

from bench.result import Ratio, Result, Series
from bench.saying import say
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.ssh_server import connect_server
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.testing.scratch_cloud import scratch_cloud

__all__ = ["measure"]

PROMISED = {"create to ssh": 1.5, "destroy to gone": 0.5}
"""Seconds, of one host."""
MANY = 20


class Maker:
    """Makes hosts that one key opens, and logs in."""

    def __init__(self, driver: LocalNodeDriver) -> None:
        self.driver = driver
        self._private, public = new_keypair("bench")
        self._auth = NodeAuthSSHKey(public)

    def make(self, image: Any) -> Any:
        """Return the node once ssh has let us in."""
        node = self.driver.create_node("bench", self.driver.list_sizes()[0], image, auth=self._auth)
        with connect_server(
            str(node.public_ips[0]),
            user="root",
            private_key=self._private,
            host_key=str(node.extra["host_key"]),
            timeout=180,
            allow_classical=image.id == "host",  # this machine's own sshd may be older than ML-KEM in OpenSSH
        ):
            return node


def measure(runs: int) -> Result:
    samples: dict[str, list[float]] = {}
    with scratch_cloud() as driver:  # it raises when anything of a host stays
        maker = Maker(driver)
        images = driver.list_images()
        # In turns, so that what else the machine does falls on both.
        for run in range(runs):
            for image in images:
                say(f"cloud {run + 1}/{runs}: {image.id}")
                started = time.monotonic()
                node = maker.make(image)
                samples.setdefault(f"{image.id}: create to ssh", []).append(time.monotonic() - started)
                started = time.monotonic()
                driver.destroy_node(node)
                samples.setdefault(f"{image.id}: destroy to gone", []).append(time.monotonic() - started)
        say(f"cloud: {MANY} at once")
        with ThreadPoolExecutor(MANY) as pool:
            started = time.monotonic()
            nodes = list(pool.map(maker.make, [images[0]] * MANY))
            samples[f"{MANY} at once, {images[0].id}: create to ssh"] = [time.monotonic() - started]
            started = time.monotonic()
            list(pool.map(driver.destroy_node, nodes))
            samples[f"{MANY} at once, {images[0].id}: destroy to gone"] = [time.monotonic() - started]
    made = [Series(label, "s", tuple(found)) for label, found in samples.items()]
    ratios = [
        Ratio(f"{one.label}, of the {seconds:g} s that are promised", one.median / seconds, "<= 1")
        for one in made
        for label, seconds in PROMISED.items()
        if one.label in {f"{image.id}: {label}" for image in images}
    ]
    return Result(
        "cloud", tuple(ratios), tuple(made), ("Of all these hosts nothing was left: a leak ends the measure.",)
    )
