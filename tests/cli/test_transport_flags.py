"""From what an owner types to what the flow is asked for, and from an inventory to the programs of tunnel servers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.cli import paths, tailnet_programs
from support_tunnel.cli.admin.server_programs import on_servers, seen_by_local_servers
from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.device.settings import DeviceSettings
from support_tunnel.cli.device.wish import Asked
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.flows.admin.ports import Programs

DEVICE = DeviceSettings("https://a.example:8443", "", "kiosk")


@pytest.mark.parametrize(
    ("flags", "offered"),
    [
        ({}, ("wireguard",)),
        ({"transport": "auto"}, ("wireguard", "wireguard-443")),
        ({"transport": "auto", "pq": "prefer"}, ("wireguard", "wireguard-443", "headscale")),
        ({"transport": "headscale", "pq": "prefer"}, ("headscale",)),
    ],
)
def test_what_is_typed_is_what_is_offered(flags: dict[str, Any], offered: tuple[str, ...]) -> None:
    asked = Asked(json=True, **flags)
    asked.check()
    assert asked.wish(DEVICE).transports == offered


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ({"transport": "headscale"}, "transport.pq"),
        ({"transport": "tailscale"}, "usage.transport"),
        ({"pq": "maybe"}, "usage.transport"),
    ],
)
def test_refused_before_anything_is_asked_of_anybody(flags: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        Asked(json=True, **flags).check()
    assert caught.value.code == code


ELSEWHERE = replace(AdminSettings(), cloud="far", clouds={"far": {}})
NAMED: dict[str, Any] = {
    "headscale": "/opt/headscale/headscale",
    "headscale_sha256": "ab" * 32,
    "tailscale": "/opt/tailscale",
}


def test_an_inventory_names_all_of_the_programs_or_none() -> None:
    assert on_servers(replace(ELSEWHERE, **NAMED)) == Programs(*NAMED.values())
    assert on_servers(ELSEWHERE) is None, "what set-up built is on this machine alone"
    for missing in NAMED:
        with pytest.raises(UsageError) as caught:
            on_servers(replace(ELSEWHERE, **{**NAMED, missing: ""}))
        assert caught.value.code == "config.headscale"


def test_what_is_set_on_a_device_wins() -> None:
    assert tailnet_programs.on_this_machine("/opt/tailscale") == "/opt/tailscale"


def test_the_local_cloud_uses_what_set_up_built() -> None:
    try:
        built = built_tool(paths.REPOSITORY, "headscale"), built_tool(paths.REPOSITORY, "tailscaled")
    except HostError as error:
        if error.code != "tool.missing":
            raise
        pytest.skip(f"needs {error.message.removeprefix('there is no ')}")
    programs = on_servers(AdminSettings())
    assert programs is not None
    assert (programs.headscale, programs.tailscale) == (str(built[0]), str(built[1].parent))
    assert seen_by_local_servers() == sorted({path.parent for path in built})
    assert tailnet_programs.on_this_machine("") == programs.tailscale
