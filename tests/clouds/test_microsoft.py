"""What Azure alone has: all of a server is in a group of its own, with its rules, its user-data and a password that nobody knows."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from support_tunnel.core.errors import CloudError
from support_tunnel.testing.clock import ManualClock
from tests.clouds.gate import Answer, Fault, Gate, gate
from tests.clouds.microsoft import Microsoft
from tests.clouds.test_every_cloud import reach, spec


@pytest.fixture
def azure() -> Iterator[Gate]:
    with gate(Microsoft()) as made:
        yield made


def test_what_is_deployed(azure: Gate) -> None:
    provider = azure.provider
    assert isinstance(provider, Microsoft)
    made = reach(azure, ManualClock(), ssh_from="192.0.2.0/24").create(spec())
    (resources,) = provider.deployed.values()
    assert [one["type"].rpartition("/")[2] for one in resources] == [
        "networkSecurityGroups", "publicIPAddresses", "virtualNetworks", "networkInterfaces", "virtualMachines",
    ]  # fmt: skip
    assert provider.rules() == {
        ("tcp", 22, "192.0.2.0/24"),
        ("udp", 31_000, "0.0.0.0/0"),
        ("udp", 31_000, "::/0"),
    }
    (parameters,) = provider.parameters.values()
    assert base64.b64decode(parameters["customData"]["value"]).decode() == spec().user_data
    assert len(parameters["password"]["value"]) > 40
    assert made.id in provider.servers


def test_a_list_that_goes_on_nobody_knows_where_is_no_list(azure: Gate) -> None:
    cloud = reach(azure, ManualClock())
    cloud.create(spec())
    unknown = {"value": [], "nextLink": "https://x/resourcegroups?api-version=2021-04-01&$page=2"}
    azure.faults = [Fault(azure.provider.lists, Answer(200, json.dumps(unknown).encode()), times=100)]
    with pytest.raises(CloudError):
        cloud.servers()


def test_a_group_of_somebody_else_with_our_name_is_not_taken_over(azure: Gate) -> None:
    foreign = azure.provider.foreign("support-tunnel-5a5a5a5a")
    made = reach(azure, ManualClock()).create(spec())
    provider = azure.provider
    assert isinstance(provider, Microsoft)
    assert made.id != foreign
    assert provider.servers[foreign]["tags"] == {"team": "web"}
