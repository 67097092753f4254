"""Ending more servers costs more pages, and not one more list: asked of each driver over HTTP."""

from __future__ import annotations

import pytest

from tests.clouds.gate import Fault, Request
from tests.clouds.rest import Rest
from tests.clouds.test_every_cloud import Site, spec

FEW, MORE = 2, 7


def make(site: Site, number: int) -> list[str]:
    tunnels = [f"{each:02x}" * 16 for each in range(number)]
    return [site.cloud.create(spec(f"st-{tunnel[:8]}", tunnel)).id for tunnel in tunnels]


def lists_to_end(site: Site, number: int) -> int:
    servers = make(site, number)
    before = site.gate.sent(site.provider.lists)
    assert site.cloud.destroy_all(servers) == {}
    assert site.provider.everything() == site.provider.walls() == []
    return site.gate.sent(site.provider.lists) - before


def test_more_servers_are_no_more_lists(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rest, "page_size", 100)
    assert lists_to_end(site, FEW) == lists_to_end(site, MORE)


def test_one_whose_end_is_refused_is_named_and_the_others_are_gone(site: Site) -> None:
    servers = make(site, 3)
    refused: list[Request] = []

    def the_first(request: Request) -> bool:
        if site.provider.destroys(request) and not refused:
            refused.append(request)
        return request in refused

    site.gate.faults = [Fault(the_first, site.provider.refusal("auth"), times=1000)]
    troubles = site.another().destroy_all(servers)
    assert [trouble.code for trouble in troubles.values()] == ["cloud.auth"]
    assert site.provider.everything() == [*troubles]
    assert len(site.provider.walls()) == (1 if site.cloud.row.firewall else 0)
