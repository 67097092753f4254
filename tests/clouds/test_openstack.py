"""An application credential with our access rules may do what the driver does, and no more."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support_tunnel.testing.clock import ManualClock
from tests.clouds.gate import gate
from tests.clouds.openstack import Openstack
from tests.clouds.test_every_cloud import reach, spec

RULES = Path(__file__).resolve().parents[2] / "opentofu/permissions/openstack.json"


def test_no_list_of_prices_is_read_for_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """libcloud's is megabytes, has no cloud of this kind on it, and was read anew for each size: a tenth of a second each time."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the list of prices was read")

    monkeypatch.setattr("libcloud.pricing.get_pricing", refuse)
    with gate(Openstack()) as played:
        cloud = reach(played, ManualClock())
        cloud.destroy(cloud.create(spec()).id)
        assert played.provider.everything() == []


def test_the_access_rules_are_the_calls_of_a_servers_life() -> None:
    rules = {(rule["method"], rule["path"]) for rule in json.loads(RULES.read_text())}
    with gate(Openstack()) as played:
        cloud = reach(played, ManualClock())
        made = cloud.create(spec())
        cloud.servers()
        cloud.console(made.id)
        cloud.destroy(made.id)
        cloud.servers()
        sent = {(request.method, request.path) for request in played.log if not request.path.startswith("/v3/")}
    used = {rule: [call for call in sent if allows(rule, call)] for rule in rules}
    assert [rule for rule, calls in used.items() if not calls] == []
    assert sent == {call for calls in used.values() for call in calls}


def allows(rule: tuple[str, str], call: tuple[str, str]) -> bool:
    """`*` and `{name}` are one part of a path."""
    return rule[0] == call[0] and re.fullmatch(re.sub(r"\*|\{\w+\}", "[^/]+", rule[1]), call[1]) is not None
