"""A real cloud, for a person who pays for it: a server is made, seen, ended and proved gone, twice over, below a cap on what it may cost.

Not part of `./test`. Say which cloud and what it may cost, with the inventory that names it (docs/clouds.md, "On a real cloud"):

    SUPPORT_TUNNEL_LIVE=hetzner SUPPORT_TUNNEL_LIVE_CAP=0.10 .venv/bin/pytest -m live tests/live
"""

from __future__ import annotations

import functools
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.cli.admin.settings import load_admin_settings
from support_tunnel.cli.secret_source import read_secret
from support_tunnel.core.ports import OpenPort, Server, ServerSpec
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired.user_data import render_user_data
from support_tunnel.flows.admin.launch import LOGIN_USER

pytestmark = pytest.mark.live

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
HOURS = 1.0
"""What a server of this test lives at most, and so is reckoned with."""


def cap() -> float:
    said = os.environ.get("SUPPORT_TUNNEL_LIVE_CAP", "")
    assert said, "say what it may cost, in US dollars: SUPPORT_TUNNEL_LIVE_CAP=0.10"
    return float(said)


def user_data(expires: datetime) -> str:
    """A tunnel server's own, whose login nobody keeps: it ends itself if this test, and who ran it, never come back."""
    host_private, host_public = new_keypair("live test, host")
    _, login = new_keypair("live test, login")
    return render_user_data(
        TEMPLATES,
        host_key_private=host_private,
        host_key_public=host_public,
        login_user=LOGIN_USER,
        login_key=login,
        expires=expires,
    )


def end(cloud: LibcloudCloud, tunnel: str) -> None:
    for server in ours(cloud, tunnel):
        cloud.destroy(server.id)


def ours(cloud: LibcloudCloud, tunnel: str) -> list[Server]:
    return [server for server in cloud.servers() if server.tags.get("st-tunnel") == tunnel]


@pytest.mark.timeout(900)
def test_a_server_comes_and_goes() -> None:
    name = os.environ.get("SUPPORT_TUNNEL_LIVE", "")
    assert name, "say which cloud of the inventory: SUPPORT_TUNNEL_LIVE=hetzner"
    clock, secret = SystemClock(), functools.cache(read_secret)
    settings = load_admin_settings(os.environ)
    cloud, second = (LibcloudCloud(name, settings.clouds[name], clock, secret=secret) for _ in range(2))
    expires = clock.now() + timedelta(minutes=15)
    tunnel = os.urandom(16).hex()
    spec = ServerSpec(
        name=f"st-{tunnel[:8]}",
        user_data=user_data(expires),
        expires=expires,
        tags={"st-tunnel": tunnel, "st-owner": "live test", "st-expires": str(int(expires.timestamp()))},
        lifetime=900,
        open_ports=(OpenPort("tcp", 22), OpenPort("udp", 31_000)),
    )
    hourly = cloud.hourly()
    assert hourly is not None, f"{name} tells no price, so it cannot be held below a cap"
    assert hourly * HOURS <= cap(), f"{hourly} an hour is above the cap"

    def addressed() -> Server | None:
        return next((server for server in ours(cloud, tunnel) if server.address), None)

    try:
        made = cloud.create(spec)
        seen = wait_for(addressed, what="address", seconds=300, clock=clock)
        assert (seen.id, seen.name) == (made.id, spec.name)
        assert spec.tags.items() <= seen.tags.items()
    finally:
        try:
            end(cloud, tunnel)
        finally:
            end(second, tunnel)  # as another process would, that has the tag alone
    assert ours(second, tunnel) == []
