"""Addresses and names: a cloud takes no network that is in use, no other cloud's things, and runs without the checkout's owner."""

from __future__ import annotations

import sys
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud import network
from support_tunnel.adapters.local_cloud.checkout import checkout_binds
from support_tunnel.adapters.local_cloud.layout import ANY_NAME, CloudLayout
from support_tunnel.core.errors import CloudError
from support_tunnel.testing.scratch_cloud import scratch_cloud


@pytest.mark.onebox
def test_two_clouds_get_two_networks_and_each_keeps_its_own() -> None:
    with scratch_cloud() as one, scratch_cloud() as two:
        wires = []
        for driver in (one, two):
            driver.nodes.cloud.make_root()
            wires.append(network.make_bridge(driver.nodes.cloud))
        assert not wires[0].overlaps(wires[1])
        assert network.make_bridge(one.nodes.cloud) == network.network_of(one.nodes.cloud) == wires[0]
        assert all(wire >= network.FIRST_NETWORK for wire in wires)


@pytest.mark.onebox
def test_a_network_that_somebody_routes_is_left_alone() -> None:
    with scratch_cloud() as driver:
        driver.nodes.cloud.make_root()
        first = network.make_bridge(driver.nodes.cloud)
        network.remove_bridge(driver.nodes.cloud)
        processes.run(["ip", "route", "add", "blackhole", str(IPv4Network(f"{first[64]}/26"))])
        try:
            assert not network.make_bridge(driver.nodes.cloud).overlaps(first)
        finally:
            processes.run(["ip", "route", "del", "blackhole", str(IPv4Network(f"{first[64]}/26"))])


@pytest.mark.onebox
def test_the_machine_keeps_its_address_on_the_bridge_while_nodes_come_and_go() -> None:
    """Else the nodes that stay send to the old one: sessions stood still for a minute that way."""
    with scratch_cloud() as driver:
        cloud = driver.nodes.cloud
        cloud.make_root()
        network.make_bridge(cloud)
        address = Path("/sys/class/net", cloud.bridge, "address")
        before = address.read_text()
        # The lowest address there is: a bridge that chooses for itself chooses this one.
        processes.run(
            ["ip", "link", "add", "stllow0", "address", "02:00:00:00:00:01", "type", "veth", "peer", "stllow1"]
        )
        try:
            processes.run(["ip", "link", "set", "stllow0", "master", cloud.bridge, "up"])
            assert address.read_text() == before
        finally:
            processes.run(["ip", "link", "del", "stllow0"])


@pytest.mark.parametrize("root", ["/a", "/b", "/with space", "/ü"])
def test_every_name_is_found_by_the_leak_check_and_fits_an_interface(root: str) -> None:
    cloud = CloudLayout(Path(root))
    for name in (cloud.bridge, cloud.new_id()):
        assert ANY_NAME.fullmatch(name)
        assert len(name) <= 15


@pytest.mark.parametrize("odd", ["", "..", "../../etc", "stl000000", "stl000000000000"])
def test_an_id_of_no_node_of_this_cloud_becomes_no_path(odd: str) -> None:
    with pytest.raises(CloudError) as refused:
        CloudLayout(Path("/a")).node(odd)
    assert refused.value.code == "cloud.id"


def test_a_folder_that_others_may_enter_is_no_cloud(tmp_path: Path) -> None:
    """The default one lies where everybody may make folders: somebody may have been there first."""
    root = tmp_path / "prepared"
    root.mkdir(mode=0o755)
    root.chmod(0o755)
    with pytest.raises(CloudError) as refused:
        CloudLayout(root).make_root()
    assert refused.value.code == "cloud.root"
    link = tmp_path / "link"
    (tmp_path / "real").mkdir(mode=0o700)
    link.symlink_to(tmp_path / "real")
    with pytest.raises(CloudError):
        CloudLayout(link).make_root()


def test_a_device_sees_checkout_and_python_each_once() -> None:
    binds = checkout_binds()
    for needed in (Path(__file__).resolve(), Path(sys.executable).resolve()):
        seen_in = [bind for bind in binds if needed.is_relative_to(bind)]
        assert len(seen_in) == 1 or needed.is_relative_to("/usr")
    assert not any(one != two and one.is_relative_to(two) for one in binds for two in binds)
    assert not any(bind.is_relative_to("/usr") or bind == Path("/") for bind in binds)
