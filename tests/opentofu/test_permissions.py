"""opentofu/permissions: the least for each cloud, and the same as its row says its driver calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support_tunnel.adapters.cloud_table import CLOUDS
from tests.opentofu.tofu import OPENTOFU

FOLDER = OPENTOFU / "permissions"


def read(name: str) -> Any:
    text = (FOLDER / name).read_text()
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def statements() -> list[dict[str, Any]]:
    return list(read("ec2.json")["Statement"])


def actions(statement: dict[str, Any]) -> list[str]:
    given = statement["Action"]
    return [given] if isinstance(given, str) else list(given)


GIVEN: dict[str, Callable[[], list[str]]] = {
    "azure": lambda: read("azure.json")["Actions"],
    "digitalocean": lambda: read("tokens.yaml")["digitalocean"]["scopes"],
    "ec2": lambda: sorted({action for statement in statements() for action in actions(statement)}),
    "gce": lambda: read("gce.yaml")["includedPermissions"],
    "hetzner": lambda: read("tokens.yaml")["hetzner"]["scopes"],
    "linode": lambda: read("tokens.yaml")["linode"]["scopes"],
    "openstack": lambda: [f"{one['service']} {one['method']} {one['path']}" for one in read("openstack.json")],
    "vultr": lambda: read("tokens.yaml")["vultr"]["scopes"],
}
"""By cloud, what its file lets the holder of the credentials do."""


@pytest.mark.parametrize("cloud", sorted(GIVEN))
def test_a_file_lists_things_once_and_none_by_a_pattern(cloud: str) -> None:
    given = GIVEN[cloud]()
    assert given
    assert sorted(given) == sorted(set(given))
    assert [one for one in given if "*" in one.removesuffix("/*")] == []


@pytest.mark.parametrize("cloud", sorted(GIVEN))
def test_a_file_gives_nobody_rights(cloud: str) -> None:
    assert [
        one for one in GIVEN[cloud]() if re.search(r"(?i)iam|policy$|passrole|roleassign|serviceaccount|owner", one)
    ] == (
        ["compute.networks.updatePolicy"] if cloud == "gce" else []  # Google's word for "may add a firewall rule"
    )


def test_every_cloud_with_an_account_has_a_file() -> None:
    secretive = {name for name, row in CLOUDS.items() if any(setting.secret for setting in row.settings)}
    assert secretive - {"static"} <= GIVEN.keys(), "a machine's own login is no account of a cloud"


def test_a_file_lists_what_the_row_of_its_cloud_says() -> None:
    """Of clouds whose rights are words; a row says the others' in a sentence."""
    compared = [
        name
        for name, row in CLOUDS.items()
        if row.permissions and name in GIVEN and not any(" " in permission for permission in row.permissions)
    ]
    assert {"azure", "digitalocean", "ec2", "gce"} <= set(compared)
    for name in compared:
        assert sorted(GIVEN[name]()) == sorted(CLOUDS[name].permissions), name


def test_ec2_touches_only_what_carries_our_tag() -> None:
    changing = [one for one in statements() if not all(action.startswith("ec2:Describe") for action in actions(one))]
    loose = [one["Sid"] for one in changing if "Condition" not in one]
    # What an instance is made from, and a security group before it has a tag.
    assert loose == ["LaunchFromAndInto", "MakeADoor"]
    assert (
        "arn:aws:ec2:*:*:instance/*"
        not in next(one for one in changing if one["Sid"] == "LaunchFromAndInto")["Resource"]
    )
    assert {key for one in changing if "Condition" in one for key in one["Condition"]["Null"]} == {
        "aws:RequestTag/st-tunnel",
        "aws:ResourceTag/st-tunnel",
    }


def test_ec2_gives_our_tag_to_nothing_that_was_there_before() -> None:
    """Who could tag anybody's instance could end it, by the tag."""
    tagging = [one for one in statements() if "ec2:CreateTags" in actions(one)]
    assert [one["Condition"].get("StringEquals") for one in tagging] == [
        {"ec2:CreateAction": ["CreateSecurityGroup", "RunInstances"]}
    ]


def test_the_page_names_every_file() -> None:
    page = (FOLDER / "README.md").read_text()
    files = [path.name for path in FOLDER.iterdir() if path.name != "README.md"]
    assert [name for name in files if f"]({name})" not in page] == []
    assert [link for link in re.findall(r"\]\(([^)]+)\)", page) if not (FOLDER / Path(link)).exists()] == []
