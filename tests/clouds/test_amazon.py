"""What EC2 alone has: its newest image of Debian's own account, a power-off that terminates, a token against a second server."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from support_tunnel.core.errors import CloudError, UsageError
from support_tunnel.testing.clock import ManualClock
from tests.clouds.amazon import Amazon
from tests.clouds.gate import Answer, Fault, Gate, gate
from tests.clouds.test_every_cloud import reach, spec


@pytest.fixture
def amazon() -> Iterator[Gate]:
    with gate(Amazon()) as made:
        yield made


def test_what_is_sent_to_make_a_server(amazon: Gate) -> None:
    reach(amazon, ManualClock()).create(spec())
    (sent,) = [request for request in amazon.log if amazon.provider.creates(request)]
    assert sent.query["ImageId"] == "ami-0000000000000d132", (
        "the newest of Debian's, whoever publishes one of that name"
    )
    assert sent.query["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert sent.query["InstanceType"] == "t3.micro"
    assert base64.b64decode(sent.query["UserData"]).decode() == spec().user_data
    assert (
        sent.query["X-Amz-Algorithm"] if "X-Amz-Algorithm" in sent.query else "AWS4-" in sent.headers["authorization"]
    )
    assert len(sent.query["ClientToken"]) == 16
    assert "KeyName" not in sent.query


def test_its_server_is_in_its_own_group_and_no_other(amazon: Gate) -> None:
    provider = amazon.provider
    assert isinstance(provider, Amazon)
    made = reach(amazon, ManualClock()).create(spec())
    (instance,) = provider._instances()
    assert [group.name for group in instance.security_groups] == [made.name]


def test_in_a_subnet_it_has_its_own_group_and_a_public_address(amazon: Gate) -> None:
    provider = amazon.provider
    assert isinstance(provider, Amazon)
    network = provider.backend.create_vpc("10.8.0.0/16")
    subnet = provider.backend.create_subnet(network.id, "10.8.1.0/24", availability_zone="eu-central-1a")
    cloud = reach(amazon, ManualClock(), network=network.id, subnet=subnet.id)
    made = cloud.create(spec())
    (instance,) = provider._instances()
    assert instance.subnet_id == subnet.id
    assert [group.name for group in instance.nics[0].group_set] == [made.name]
    (seen,) = cloud.servers()
    assert ipaddress.ip_address(seen.address).is_global
    cloud.destroy(made.id)
    assert provider.everything() == provider.walls() == []


def test_a_network_without_a_subnet_is_told_before_anything_is_sent(amazon: Gate) -> None:
    with pytest.raises(UsageError, match="clouds/ec2/subnet is missing") as refused:
        reach(amazon, ManualClock(), network="vpc-1234").create(spec())
    assert refused.value.code == "config.missing"
    assert amazon.log == []


def test_a_region_without_the_image_says_so(amazon: Gate) -> None:
    made = reach(amazon, ManualClock())
    with pytest.raises(UsageError, match="it has debian-12, debian-13"):
        made.create(replace(spec(), image="debian-11"))
    provider = amazon.provider
    assert isinstance(provider, Amazon)
    for image in list(provider.backend.amis):
        provider.backend.amis.pop(image)
    with pytest.raises(CloudError, match=r"no image debian-13-amd64-\* of Debian in region eu-central-1"):
        made.create(spec())


def test_until_it_has_its_public_address_it_has_none(amazon: Gate) -> None:
    """EC2 gives that once it runs. What it has from the first moment, in a subnet with both, nobody may be able to reach."""
    provider = amazon.provider
    assert isinstance(provider, Amazon)

    def pending(true: Answer) -> Answer:
        six = b"<networkInterfaceSet><item><ipv6AddressesSet><item><ipv6Address>2600:1f14::5</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet>"
        body = re.sub(rb"<ipAddress>[^<]*</ipAddress>", b"", true.body)
        body = re.sub(rb"(?s)<networkInterfaceSet>.*?</networkInterfaceSet>|<networkInterfaceSet */>", six, body)
        assert b"<privateIpAddress>" in body
        assert six in body
        return replace(true, body=body)

    amazon.faults = [Fault(provider.creates, None, then=pending), Fault(provider.lists, None, then=pending)]
    cloud = reach(amazon, ManualClock())
    made = cloud.create(spec())
    (seen,) = cloud.servers()
    assert (made.address, seen.address) == ("", "")
    (seen,) = cloud.servers()
    assert ipaddress.ip_address(seen.address).is_global
