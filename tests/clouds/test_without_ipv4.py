"""`addresses: ipv6`: a server without a public IPv4 address, at each cloud that makes such, and a plain refusal at those that do not."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.adapters.clouds.told import check
from support_tunnel.core.errors import UsageError
from support_tunnel.testing.clock import ManualClock
from tests.clouds import google, openstack
from tests.clouds.amazon import Amazon
from tests.clouds.gate import Answer, Fault, Gate, Request, gate
from tests.clouds.played import PLAYED
from tests.clouds.reached import cloud_at
from tests.clouds.test_chosen import Office, library, make_world, played_at
from tests.clouds.test_every_cloud import reach, spec
from tests.clouds.test_settings import LAUNCHING, enough
from tests.flows.world import World

__all__ = ["library", "make_world"]

MADE = ["ec2", "gce", "hetzner", "openstack", "vultr"]
TAKES = {"ec2": "subnet", "gce": "subnet", "openstack": "network"}
"""The setting without which there is no IPv6 there."""


@pytest.fixture(params=MADE)
def played(request: pytest.FixtureRequest) -> Iterator[Gate]:
    with gate(PLAYED[request.param]()) as made:
        yield made
    contract = getattr(made.provider, "contract", None)
    assert contract is None or contract.complaints == []


def alone(made: Gate) -> dict[str, str]:
    """What the inventory of this cloud says besides."""
    provider = made.provider
    if isinstance(provider, Amazon):
        place = provider.ipv6_subnet()
    else:
        place = {"gce": {"network": "six", "subnet": google.SUBNET}, "openstack": {"network": openstack.NETWORK}}.get(
            provider.name, {}
        )
    return {"addresses": "ipv6", **place}


def versions(cloud: Any) -> set[int]:
    """Of all addresses of its server."""
    (node,) = cloud.look(lambda driver, _: cloud.row.listed(driver))
    return {ipaddress.ip_address(one).version for one in (*node.public_ips, *node.private_ips)}


def test_a_server_has_an_ipv6_address_and_no_other(played: Gate) -> None:
    cloud = reach(played, ManualClock(), ssh_from="192.0.2.0/24 2001:db8::/32", **alone(played))
    made = cloud.create(spec())
    (seen,) = cloud.servers()
    assert seen.id == made.id
    assert ipaddress.ip_address(seen.address).version == 6
    assert ipaddress.ip_address(seen.address).is_global
    assert versions(cloud) == {6}
    assert played.provider.rules() == {
        ("tcp", 22, "192.0.2.0/24"),
        ("tcp", 22, "2001:db8::/32"),
        ("udp", 31_000, "0.0.0.0/0"),
        ("udp", 31_000, "::/0"),
    }
    cloud.destroy(made.id)
    assert played.provider.everything() == played.provider.walls() == []


def test_it_has_ipv4_where_nothing_is_said(played: Gate) -> None:
    """So that the test above can fail."""
    cloud = reach(played, ManualClock())
    cloud.create(spec())
    assert 4 in versions(cloud)


def test_who_has_the_tags_alone_ends_it(played: Gate) -> None:
    """A sweep of another machine, whose inventory knows nothing of IPv6."""
    reach(played, ManualClock(), **alone(played)).create(spec())
    other = cloud_at(played.provider.name, played.provider.settings(played.url), ManualClock())
    (left,) = other.servers()
    other.destroy(left.id)
    assert played.provider.everything() == played.provider.walls() == []


def test_the_whole_job_goes_by_it(
    played: Gate, make_world: Callable[..., World], library: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the inventory to what is told in the end; a device takes an ANSWER only with `[IPv6]:port` in it."""
    name = played.provider.name
    office = Office(tmp_path, {name: played}, besides=alone(played))
    world = make_world(library=library)
    played_at(world, office, name, capsys)
    (entry,) = world.ledger.entries()
    assert ipaddress.ip_address(entry.server_address).version == 6


def test_what_is_sent_for_it(played: Gate) -> None:
    told = alone(played)
    reach(played, ManualClock(), **told).create(spec())
    (sent,) = [request for request in played.log if played.provider.creates(request)]
    assert ASKED[played.provider.name](sent, told)


def _by_google(sent: Request, _: dict[str, str]) -> bool:
    access = {"type": "DIRECT_IPV6", "name": "external-ipv6", "networkTier": "PREMIUM"}
    return bool(
        json.loads(sent.body)["networkInterfaces"]
        == [{"network": "global/networks/six", "subnetwork": google.SUBNET, "stackType": "IPV6_ONLY", "ipv6AccessConfigs": [access]}]
    )  # fmt: skip


def _by_amazon(sent: Request, told: dict[str, str]) -> bool:
    names = ("SubnetId", "Ipv6AddressCount", "MetadataOptions.HttpProtocolIpv6")
    asked = tuple(sent.query[name] for name in names)
    return asked == (told["subnet"], "1", "enabled") and not any("NetworkInterface" in name for name in sent.query)


def _by_vultr(sent: Request, _: dict[str, str]) -> bool:
    body = json.loads(sent.body)
    return (body["enable_ipv6"], body["disable_public_ipv4"]) == (True, True)


def _by_nova(sent: Request, _: dict[str, str]) -> bool:
    """Its user-data comes on a disk: the usual way to it is an IPv4 address."""
    body = json.loads(sent.body)["server"]
    return (body["networks"], body["config_drive"]) == ([{"uuid": openstack.NETWORK}], "True")


ASKED: dict[str, Callable[[Request, dict[str, str]], bool]] = {
    "gce": _by_google,
    "ec2": _by_amazon,
    "vultr": _by_vultr,
    "openstack": _by_nova,
    "hetzner": lambda sent, _: json.loads(sent.body)["public_net"] == {"enable_ipv4": False, "enable_ipv6": True},
}


@pytest.mark.parametrize("name", sorted(TAKES))
def test_where_it_takes_a_network_that_has_ipv6_that_is_asked_for_before_anything_is_sent(name: str) -> None:
    with gate(PLAYED[name]()) as made:
        with pytest.raises(UsageError, match=f"clouds/{name}/{TAKES[name]} is missing") as refused:
            reach(made, ManualClock(), addresses="ipv6").create(spec())
        assert refused.value.code == "config.missing"
        assert made.log == []


@pytest.mark.parametrize("name", [name for name in LAUNCHING if name not in MADE])
def test_a_cloud_that_cannot_refuses_it_and_says_why(name: str) -> None:
    with pytest.raises(UsageError, match=f"clouds/{name}/addresses is 'ipv6'; here it may be (both|ipv4)$") as refused:
        check(CLOUDS[name], {**enough(name), "addresses": "ipv6"}, f"support_tunnel/clouds/{name}")
    assert refused.value.code == "config.value"
    assert "IPv4" in refused.value.next_step or "interface" in refused.value.next_step


@pytest.mark.parametrize("name", LAUNCHING)
def test_a_word_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="addresses is 'ipv5'") as refused:
        check(CLOUDS[name], {**enough(name), "addresses": "ipv5"}, "x")
    assert refused.value.code == "config.value"


def test_an_ipv6_address_is_not_taken_where_its_ipv4_one_is_still_to_come() -> None:
    """Vultr says 0.0.0.0 until it has one. What EC2 says meanwhile is in test_amazon."""

    def pending(true: Answer) -> Answer:
        told = json.loads(true.body)
        told["instance"] |= {"main_ip": "0.0.0.0", "v6_main_ip": "2001:19f0:5:1::64"}  # noqa: S104 - its word for none
        return replace(true, body=json.dumps(told).encode())

    with gate(PLAYED["vultr"]()) as made:
        made.faults = [Fault(made.provider.creates, None, then=pending)]
        assert reach(made, ManualClock()).create(spec()).address == ""
