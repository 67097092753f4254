"""A server gets a firewall that was made for it: no other of its name is taken for it, and none of an earlier try."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import OpenPort
from tests.clouds.gate import Fault, Request
from tests.clouds.test_every_cloud import Site, spec


def opens(request: Request) -> bool:
    by_path = request.method == "POST" and re.search(r"/(firewalls|os-security-groups)$", request.path)
    return bool(by_path) or request.query.get("Action") == "CreateSecurityGroup"


def test_a_firewall_of_somebody_else_with_our_name_is_neither_used_nor_changed(site: Site) -> None:
    if site.cloud.row.firewall is None:
        assert site.provider.walls() == []
        return
    foreign = site.provider.foreign_wall("support-tunnel-5a5a5a5a")
    before = site.provider.rules()
    if site.provider.name == "digitalocean":  # firewalls have names of more than the server's
        made = site.cloud.create(spec())
        assert len(site.provider.walls()) == 2
        site.cloud.destroy(made.id)
    else:
        with pytest.raises(CloudError) as refused:
            site.cloud.create(spec())
        assert refused.value.code == "cloud.taken"
        assert refused.value.next_step
    assert site.provider.everything() == []
    assert site.provider.walls() == [foreign]
    assert site.provider.rules() == before


def test_an_earlier_trys_port_does_not_stay_open(site: Site) -> None:
    site.gate.faults = [Fault(site.provider.creates, site.provider.refusal("quota"))]
    with pytest.raises(CloudError):
        site.cloud.create(spec())
    again = replace(spec(), open_ports=(OpenPort("tcp", 22), OpenPort("udp", 32_000)))
    site.another().create(again)
    walls = 0 if site.cloud.row.firewall is None else 1
    assert len(site.provider.walls()) == walls
    if walls:
        assert {(protocol, port) for protocol, port, _ in site.provider.rules()} == {("tcp", 22), ("udp", 32_000)}


def test_a_firewall_whose_answer_was_lost_is_the_servers(site: Site) -> None:
    site.gate.faults = [Fault(opens, None, effect=True)]
    made = site.cloud.create(spec())
    assert site.provider.everything() == [made.id]
    assert len(site.provider.walls()) == (1 if site.cloud.row.firewall else 0)
    site.cloud.destroy(made.id)
    assert site.provider.walls() == []


def test_what_is_asked_again_and_again_asks_for_no_firewalls(site: Site) -> None:
    """While a server starts it is looked for until it has an address, and clouds count requests."""
    made = site.cloud.create(spec())
    site.gate.log.clear()
    seen = site.cloud.server(made.id)
    assert seen is not None
    assert (seen.id, seen.name) == (made.id, made.name)
    assert site.gate.sent(site.provider.lists) == 1
    assert site.gate.sent(of_walls) == 0
    assert site.cloud.server(site.provider.foreign("st-6b6b6b6b")) is None


def test_an_end_lists_servers_and_firewalls_once_before_and_once_after_it(site: Site) -> None:
    made = site.cloud.create(spec())
    site.gate.log.clear()
    site.cloud.destroy(made.id)
    asked = [request for request in site.gate.log if request.method == "GET" or "Describe" in str(request.query)]
    assert len([request for request in asked if site.provider.lists(request)]) == 2
    # DigitalOcean's and Google's tell by the list what is to be closed, too.
    most = 3 if site.provider.name in ("digitalocean", "gce") else 2
    assert len([request for request in asked if of_walls(request)]) <= most
    assert site.provider.everything() == site.provider.walls() == []


def of_walls(request: Request) -> bool:
    listed = request.method == "GET" and re.search(r"/(firewalls|os-security-groups)$", request.path)
    return bool(listed) or request.query.get("Action") == "DescribeSecurityGroups"
