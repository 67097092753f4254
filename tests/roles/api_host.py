"""A fresh Debian 13 host without a way out, on which the API is to be deployed, and what that takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.adapters.wheel import Wheel, build_wheel
from support_tunnel.api.certificate import ensure_certificate, fingerprint
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.desired import Report
from support_tunnel.flows.deploy_api import Given, Release, StoreAt, api_variables, deploy_api
from support_tunnel.flows.library import Library
from support_tunnel.testing.scratch_cloud import start
from tests.roles.hosts import ROLES, TEMPLATES, run
from tests.roles.supplies import PACKAGES, ROOT, debian_repository, wheelhouse

__all__ = ["DOMAIN", "Host", "api_release", "make_api_host"]

DOMAIN = "support.example.org"


@dataclass(frozen=True, slots=True)
class Host:
    shell: ServerShell
    url: str
    pin: str
    release: Release
    certificate: Given
    wheels: Path
    ssh_key: Secret[str]
    host_key: str

    def variables(self, release: Release | None = None, store: StoreAt | None = None) -> dict[str, object]:
        options = ("--no-index", "--find-links", str(self.wheels))
        return api_variables(
            release or (self.release if store is None else api_release("postgres")),
            domain=DOMAIN,
            certificate=self.certificate,
            pip_options=options,
            store=store,
        )

    def deploy(self, release: Release | None = None, store: StoreAt | None = None) -> Report:
        return deploy_api(self.shell, Library(ROLES, TEMPLATES), self.variables(release, store), host="node")

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

    def install_packages(self) -> None:
        """Do what the role's first task does, for Ansible, whose own apt module would need more than is there."""
        self.look(f"apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install {' '.join(PACKAGES)}")


@cache
def _wheel() -> Wheel:
    return build_wheel(ROOT)


def api_release(extra: str = "api") -> Release:
    return Release(_wheel().name, _wheel().content, (ROOT / "requirements" / f"{extra}.txt").read_text())


@contextmanager
def make_api_host(
    driver: LocalNodeDriver, folder: Path, name: str = "api", *, seen: Sequence[Path] = ()
) -> Iterator[Host]:
    """Deploys nothing yet. `seen` are folders of this machine that the host can read."""
    file = ensure_certificate(folder, [DOMAIN], SystemClock())
    key, begin, chain = file.read_text().partition("-----BEGIN CERTIFICATE-----")
    debs, wheels = debian_repository(), wheelhouse("postgres")
    private, public = new_keypair("operator")
    node = start(driver, name, "debian-13", auth=NodeAuthSSHKey(public), ex_bind_ro=[debs, wheels, *seen])
    address, host_key = node.public_ips[0], node.extra["host_key"]
    with connect_server(address, user="root", private_key=private, host_key=host_key, timeout=60) as shell:
        made = Host(
            shell=shell,
            url=f"https://{address}",
            pin=fingerprint(file),
            release=api_release(),
            certificate=Given(begin + chain, Secret(key)),
            wheels=wheels,
            ssh_key=private,
            host_key=host_key,
        )
        made.look(f"echo 'deb [trusted=yes] file:{debs} ./' >/etc/apt/sources.list")
        yield made
