"""What Azure alone has: all of a server is in a group of its own, with its rules, its user-data and a password that nobody knows."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from support_tunnel.core.errors import CloudError
from support_tunnel.testing.clock import ManualClock
from tests.clouds.gate import Answer, Fault, Gate, Request, gate
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


def step(state: str, error: dict[str, Any] | None = None) -> dict[str, Any]:
    """Of a deployment's operations, as the reference of Azure's API has them."""
    told = {"statusCode": "Conflict", "statusMessage": {"status": "Failed", "error": error}} if error else {}
    kind = {"resourceType": "Microsoft.Compute/virtualMachines"}
    return {"id": "x", "properties": {"provisioningState": state, "targetResource": kind, **told}}


QUOTA = {
    "code": "ResourceDeploymentFailure",
    "message": "The resource write operation failed to complete successfully.",
    "details": [{"code": "QuotaExceeded", "message": "Operation could not be completed as it results in exceeding approved Total Regional Cores quota."}],
}  # fmt: skip
SIZE = {
    "code": "SkuNotAvailable",
    "message": "The requested VM size for resource '/subscriptions/9' is currently not available in location 'germanywestcentral'.",
}


@pytest.mark.parametrize(
    ("steps", "code", "said", "next_step"),
    [
        ([step("Succeeded"), step("Failed", QUOTA)], "cloud.quota", "QuotaExceeded: Operation could not", "Raise its quota"),
        ([step("Failed", SIZE), step("Running")], "cloud.bad-request", "SkuNotAvailable: The requested VM size", "Check size, image and region"),
        ([], "cloud.bad-request", "DeploymentFailed: At least one", "Check size, image and region"),
        ([step("Failed"), {"properties": {"provisioningState": "Failed", "statusMessage": "text"}}], "cloud.bad-request", "DeploymentFailed", "Check size"),
    ],
    ids=["quota", "size", "no operations", "no message"],
)  # fmt: skip
def test_a_deployment_that_fails_is_told_in_azures_words_and_its_group_is_removed(
    azure: Gate, steps: list[dict[str, Any]], code: str, said: str, next_step: str
) -> None:
    provider = azure.provider
    assert isinstance(provider, Microsoft)
    provider.states, provider.steps = ["Accepted", "Running", "Failed"], steps
    foreign = provider.foreign("st-5a5a5a5a")
    with pytest.raises(CloudError) as failed:
        reach(azure, ManualClock()).create(spec())
    assert failed.value.code == code
    assert f"says: {said}" in failed.value.message
    assert next_step in failed.value.next_step
    assert provider.everything() == [foreign]


def test_a_deployment_that_somebody_cancels_is_no_server(azure: Gate) -> None:
    provider = azure.provider
    assert isinstance(provider, Microsoft)
    provider.states = ["Canceled"]
    with pytest.raises(CloudError, match="ended as Canceled"):
        reach(azure, ManualClock()).create(spec())
    assert provider.everything() == []


def test_a_deployment_that_does_not_end_is_given_up_and_its_group_is_removed(azure: Gate) -> None:
    provider = azure.provider
    assert isinstance(provider, Microsoft)
    provider.states = ["Running"]
    clock = ManualClock()
    with pytest.raises(CloudError) as failed:
        reach(azure, clock).create(spec())
    assert failed.value.code == "cloud.retry"
    assert provider.everything() == []
    assert 600 <= clock.monotonic() <= 700


@pytest.mark.parametrize("kind", ["quota", "bad-request"])
def test_a_deployment_that_is_refused_leaves_no_group(azure: Gate, kind: str) -> None:
    azure.faults = [Fault(azure.provider.creates, azure.provider.refusal(kind))]
    with pytest.raises(CloudError) as failed:
        reach(azure, ManualClock()).create(spec())
    assert failed.value.code == f"cloud.{kind}"
    assert azure.provider.everything() == []


def test_a_group_whose_answer_was_lost_gets_its_deployment(azure: Gate) -> None:
    """It is found by its tags, and nothing is in it."""

    def makes_a_group(request: Request) -> bool:
        return request.method == "PUT" and not azure.provider.creates(request)

    azure.faults = [Fault(makes_a_group, None, effect=True)]
    made = reach(azure, ManualClock()).create(spec())
    provider = azure.provider
    assert isinstance(provider, Microsoft)
    assert provider.everything() == [made.id] == list(provider.deployed)


def test_a_group_that_is_removed_while_it_is_made_is_not_made_again(azure: Gate) -> None:
    provider = azure.provider
    assert isinstance(provider, Microsoft)

    def ended(true: Answer) -> Answer:
        provider.servers.clear()
        return true

    asks = re.compile(r".*/deployments/[\w-]+")
    azure.faults = [
        Fault(lambda request: request.method == "GET" and bool(asks.fullmatch(request.path)), None, then=ended)
    ]
    with pytest.raises(CloudError) as failed:
        reach(azure, ManualClock()).create(spec())
    assert failed.value.code == "cloud.gone"
    assert provider.everything() == []


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
