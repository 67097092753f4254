"""What a tunnel server lets in from outside is what its answer names: the role's rules, loaded into a kernel, and read back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from support_tunnel.adapters import processes
from support_tunnel.desired.templating import environment
from tests.roles.hosts import ROLES, WIREGUARD_PORT, server_variables

pytestmark = pytest.mark.onebox

TAILNET_DEVICE = "fd7a:115c:a1e0::2"
OWN = str(WIREGUARD_PORT)
WAYS: dict[str, tuple[dict[str, object], set[str], set[str], list[tuple[str, str]]]] = {
    "wireguard": ({}, {"22"}, {OWN}, []),
    "udp 443": ({"tunnel_server_second_port": 443}, {"22"}, {OWN}, [("443", OWN)]),
    "headscale": (
        {"tunnel_server_by_wireguard": False, "tunnel_server_headscale_device_address": TAILNET_DEVICE},
        {"22", "443"},
        {"3478", "41641"},
        [],
    ),
    "all": (
        {"tunnel_server_second_port": 443, "tunnel_server_headscale_device_address": TAILNET_DEVICE},
        {"22", "443"},
        {OWN, "3478", "41641"},
        [("443", OWN)],
    ),
    "none by wireguard": ({"tunnel_server_by_wireguard": False, "tunnel_server_second_port": 443}, {"22"}, set(), []),
}


def loaded(folder: Path, **given: object) -> str:
    """The rules as a kernel lists them, in a network namespace of their own."""
    role = ROLES / "tunnel_server"
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    text = (
        environment([role / "templates"]).get_template("nftables.conf.j2").render(defaults | server_variables(**given))
    )
    (folder / "rules").write_text(text)
    words = ["unshare", "--net", "sh", "-euc", 'nft -f "$0"; nft -f "$0"; nft list ruleset', str(folder / "rules")]
    return processes.run(words, timeout=30).stdout


@pytest.mark.parametrize("ways", list(WAYS))
def test_exactly_the_ports_of_the_answers_ways(tmp_path: Path, ways: str) -> None:
    given, tcp, udp, second = WAYS[ways]
    rules = loaded(tmp_path, **given)
    entry = rules.partition("chain input")[2].partition("\n\t}")[0]
    assert "policy drop" in entry
    ports: dict[str, set[str]] = {"tcp": set(), "udp": set()}
    for kind, named in re.findall(r"(tcp|udp) dport (\{[^}]*\}|\d+) accept", entry):
        ports[kind] |= set(re.findall(r"\d+", named))
    leases = {"68", "546"}
    assert ports == {"tcp": tcp, "udp": udp | leases}
    assert re.findall(r"fib daddr type local udp dport (\d+) redirect to :(\d+)", rules) == second
    assert rules.count("type nat") == len(second), "and nothing else is redirected"
