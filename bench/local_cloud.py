"""How long a host of the local cloud takes: from asking for it to logged in by ssh, and from ending it to gone."""

from __future__ import annotations

import time

from libcloud.compute.base import NodeAuthSSHKey

from bench.result import Result, Series
from bench.saying import say
from support_tunnel.adapters.ssh_server import connect_server
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.testing.scratch_cloud import scratch_cloud

__all__ = ["measure"]


def measure(runs: int) -> Result:
    private, public = new_keypair("bench")
    samples: dict[str, list[float]] = {}
    with scratch_cloud() as driver:
        size = driver.list_sizes()[0]
        # In turns, so that what else the machine does falls on both.
        for run in range(runs):
            for image in driver.list_images():
                say(f"cloud {run + 1}/{runs}: {image.id}")
                started = time.monotonic()
                node = driver.create_node("bench", size, image, auth=NodeAuthSSHKey(public))
                with connect_server(
                    str(node.public_ips[0]),
                    user="root",
                    private_key=private,
                    host_key=str(node.extra["host_key"]),
                    timeout=60,
                    allow_classical=image.id == "host",  # this machine's own sshd may be older than ML-KEM in OpenSSH
                ):
                    samples.setdefault(f"{image.id}: create to ssh", []).append(time.monotonic() - started)
                started = time.monotonic()
                driver.destroy_node(node)
                samples.setdefault(f"{image.id}: destroy to gone", []).append(time.monotonic() - started)
    return Result("cloud", (), tuple(Series(label, "s", tuple(found)) for label, found in samples.items()))
