"""The wire between nodes: one bridge a cloud, one network namespace and one veth pair a node, made with `ip`.

Nothing is routed or translated to the outside: a node reaches the machine and its neighbours, and the internet not at all.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud.layout import CloudLayout, NodeLayout
from support_tunnel.adapters.local_cloud.records import replace_file
from support_tunnel.core.errors import CloudError

__all__ = ["FIRST_NETWORK", "connect", "disconnect", "gateway", "make_bridge", "network_of", "remove_bridge"]

FIRST_NETWORK = ipaddress.IPv4Network("10.77.0.0/24")
"""The first one tried; the following /24s when it is routed already."""

_MACHINE_LOCK = Path("/run/support_tunnel-networks.lock")


def network_of(cloud: CloudLayout) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(json.loads(cloud.settings.read_text())["network"])
    except FileNotFoundError:
        return None


def gateway(network: ipaddress.IPv4Network) -> str:
    """The machine's own address on the bridge: where nodes reach services of this machine."""
    return str(network[1])


def make_bridge(cloud: CloudLayout) -> ipaddress.IPv4Network:
    """Make the cloud's bridge unless it is there; the caller holds the cloud's lock."""
    network = network_of(cloud)
    if network is not None and Path("/sys/class/net", cloud.bridge).exists():
        return network
    with _machine_locked():  # two clouds choosing at once would choose the same network
        if network is None or network in _routed():
            network = _free_network()
        replace_file(cloud.settings, json.dumps({"network": str(network)}))
        # forward_delay 0: else a new port keeps silent for 15 seconds, spanning tree or not.
        options = ["forward_delay", "0", "stp_state", "0", "mcast_snooping", "0"]
        # A bridge without an address of its own takes the lowest of its ports', so each node that comes or goes could
        # change it, and the other nodes would go on sending to the old one for up to a minute.
        hardware = ["address", _hardware(gateway(network))]
        processes.run(["ip", "link", "add", "name", cloud.bridge, *hardware, "type", "bridge", *options])
        processes.run(["ip", "addr", "add", f"{gateway(network)}/{network.prefixlen}", "dev", cloud.bridge])
        processes.run(["ip", "link", "set", cloud.bridge, "up"])
    return network


def remove_bridge(cloud: CloudLayout) -> None:
    processes.run(["ip", "link", "del", cloud.bridge], accept=(0, 1))
    cloud.settings.unlink(missing_ok=True)


def connect(cloud: CloudLayout, node: NodeLayout, address: str, network: ipaddress.IPv4Network) -> None:
    """Give the node its namespace, with `eth0` up before anything in it starts."""
    processes.run(["ip", "netns", "add", node.id])
    processes.run(["ip", "link", "add", node.id, "type", "veth", "peer", "name", "eth0", "netns", node.id])
    processes.run(["ip", "link", "set", node.id, "master", cloud.bridge, "up"])
    inside = f"""link set lo up
link set eth0 address {_hardware(address)}
addr add {address}/{network.prefixlen} dev eth0
link set eth0 up
route add default via {gateway(network)}
"""
    processes.run(["ip", "-n", node.id, "-batch", "-"], stdin=inside.encode())


def _hardware(address: str) -> str:
    """A link-layer address made from the IPv4 one: neighbours of a node that had it a moment ago remember that one's."""
    return ":".join(["02", "00", *(f"{octet:02x}" for octet in ipaddress.IPv4Address(address).packed)])


def disconnect(node: NodeLayout) -> None:
    """Remove link and namespace; already gone is fine. The processes in it must have ended."""
    processes.run(["ip", "link", "del", node.id], accept=(0, 1))
    if node.netns.exists():
        processes.run(["ip", "netns", "del", node.id], accept=(0, 1))


def _routed() -> list[ipaddress.IPv4Network]:
    routes = json.loads(processes.run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout)
    targets = [route["dst"] for route in routes if route["dst"] != "default"]
    return [ipaddress.IPv4Network(target, strict=False) for target in targets]


def _free_network() -> ipaddress.IPv4Network:
    taken = _routed()
    for candidate in ipaddress.IPv4Network("10.0.0.0/8").subnets(new_prefix=24):
        if candidate >= FIRST_NETWORK and not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise CloudError("cloud.network", "no free /24 network from 10.77.0.0 upwards: all are routed already")


@contextmanager
def _machine_locked() -> Iterator[None]:
    descriptor = os.open(_MACHINE_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
