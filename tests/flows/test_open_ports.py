"""What a cloud is asked to let through is what the server itself lets through, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support_tunnel.core.ports import OpenPort
from support_tunnel.flows.admin.launch import TAILSCALE_PORT, open_ports

FILTER = Path(__file__).resolve().parents[2] / "roles/tunnel_server/templates/nftables.conf.j2"
SSH = OpenPort("tcp", 22)


@pytest.mark.parametrize("udp", [(31_000,), (31_000, 443), ()])
def test_ssh_and_the_tunnels_own_ports(udp: tuple[int, ...]) -> None:
    assert set(open_ports(udp, coordinated=False)) == {SSH, *(OpenPort("udp", port) for port in udp)}


def test_a_headscales_ports_where_the_server_is_one() -> None:
    besides = set(open_ports((31_000,), coordinated=True)) - set(open_ports((31_000,), coordinated=False))
    assert besides == {OpenPort("tcp", 443), OpenPort("udp", 3_478), OpenPort("udp", TAILSCALE_PORT)}
    accepted = " ".join(re.findall(r"dport .* accept", FILTER.read_text()))
    assert "443" in accepted
    assert "3478" in accepted
