"""The role `api` on a fresh Debian 13 host without a way out: real clients through nginx, twice, killed, upgraded, hardened."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.adapters.wheel import build_wheel
from support_tunnel.api.certificate import ensure_certificate, fingerprint
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.desired import Report
from support_tunnel.flows.deploy_api import Given, Release, deploy_api
from support_tunnel.flows.library import Library
from support_tunnel.testing.scratch_cloud import scratch_cloud, start
from tests.roles.hosts import ROLES, TEMPLATES, run
from tests.roles.supplies import ROOT, debian_repository, wheelhouse

pytestmark = pytest.mark.onebox

DOMAIN = "support.example.org"
MOST_EXPOSED = 2.0
"""Of 10, by `systemd-analyze security`, which calls up to 2 OK."""


@dataclass(frozen=True, slots=True)
class Host:
    shell: ServerShell
    url: str
    pin: str
    release: Release
    certificate: Given
    wheels: Path

    def deploy(self, release: Release | None = None) -> Report:
        return deploy_api(
            self.shell,
            Library(ROLES, TEMPLATES),
            release or self.release,
            host="node",
            domain=DOMAIN,
            certificate=self.certificate,
            pip_options=("--no-index", "--find-links", str(self.wheels)),
        )

    def face(self, *, token: str = "", claim: Secret[bytes] | None = None) -> HttpMailbox:
        admin = Secret(token) if token else None
        return HttpMailbox(
            self.url, clock=SystemClock(), fingerprint=self.pin, admin_token=admin, claim=claim, patience=30
        )

    def new_token(self, name: str, rights: str = "answer,list") -> str:
        made = run(self.shell, f"support-tunnel-api token.create --name {name} --rights {rights}")  # fixed words
        assert made.status == 0, made.stderr
        return made.stdout.strip()

    def look(self, script: str) -> str:
        seen = run(self.shell, script)
        assert seen.status == 0, seen.stdout + seen.stderr
        return seen.stdout


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("api")
    file = ensure_certificate(folder, [DOMAIN], SystemClock())
    key, _, chain = file.read_text().partition("-----BEGIN CERTIFICATE-----")
    wheel = build_wheel(ROOT)
    release = Release(wheel.name, wheel.content, (ROOT / "requirements" / "api.txt").read_text())
    debs, wheels = debian_repository(), wheelhouse()
    private, public = new_keypair("operator")
    with scratch_cloud() as driver:
        node = start(driver, "api", "debian-13", auth=NodeAuthSSHKey(public), ex_bind_ro=[debs, wheels])
        address = node.public_ips[0]
        with connect_server(
            address, user="root", private_key=private, host_key=node.extra["host_key"], timeout=60
        ) as shell:
            run(shell, f"echo 'deb [trusted=yes] file:{debs} ./' >/etc/apt/sources.list")
            given = Given("-----BEGIN CERTIFICATE-----" + chain, Secret(key))
            made = Host(shell, f"https://{address}", fingerprint(file), release, given, wheels)
            assert made.deploy().changed
            yield made


def test_the_second_time_changes_nothing(host: Host) -> None:
    assert [outcome.task for outcome in host.deploy().outcomes if outcome.status == "changed"] == []


def test_a_session_goes_through_the_proxy(host: Host) -> None:
    tunnel, claim = TunnelId(secrets.token_hex(16)), Secret(secrets.token_bytes(32))
    with host.face() as device, host.face(token=host.new_token("Ann"), claim=claim) as admin:
        device.open(tunnel, b"offer", claim=claim, ttl=600)
        assert [row.tunnel for row in admin.tunnels()] == [tunnel]
        assert (
            list(device.messages(tunnel, after=1, wait=6)) == []
        )  # a poll is held, longer than any timeout of nginx's
        admin.post(tunnel, "answer", bytes(16 * 1024))
        assert list(device.messages(tunnel, after=1, wait=20)) == [Blob(2, "answer", bytes(16 * 1024))]
        device.close(tunnel)


def test_it_comes_back_after_a_kill_and_has_everything(host: Host) -> None:
    tunnel = TunnelId(secrets.token_hex(16))
    pid = "systemctl show -P MainPID support-tunnel-api.service"
    with host.face() as device:
        device.open(tunnel, b"offer", claim=Secret(bytes(32)), ttl=600)
        before = host.look(f"{pid}; systemctl kill -s KILL support-tunnel-api.service")
        device.post(tunnel, "confirm", b"m3")
        assert [blob.data for blob in device.messages(tunnel, after=0, wait=0)] == [b"offer", b"m3"]
        assert host.look(pid) != before
