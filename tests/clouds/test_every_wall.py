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
