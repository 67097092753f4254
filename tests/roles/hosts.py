"""Two real hosts with a tunnel between them, made by the roles under test and by nothing else."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.ssh_device import DEVICE, Files, Hop, key_exchanges, known_hosts, ssh_config
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.desired import Report, compile_roles, probes
from support_tunnel.desired.user_data import render_user_data
from support_tunnel.testing.scratch_cloud import start

__all__ = [
    "DEVICE_ADDRESS",
    "DEVICE_ROLES",
    "HOUR",
    "LOGIN",
    "NAMES",
    "PATIENCE",
    "ROLES",
    "SERVER_ADDRESS",
    "SESSION_PORT",
    "WIREGUARD_PORT",
    "Pair",
    "Server",
    "apply",
    "device_variables",
    "make_device",
    "make_pair",
    "make_server",
    "run",
    "server_variables",
    "soon",
]

ROLES = Path(__file__).parents[2] / "roles"
TEMPLATES = ROLES.parent / "templates"
NAMES = Names(TunnelId("0badcafe" + "0" * 24))
DEVICE_ROLES = ("device_tunnel", "device_access")
SESSION_PORT, WIREGUARD_PORT = 47022, 51999
SERVER_ADDRESS, DEVICE_ADDRESS = "fd12:3456:789a:1::1", "fd12:3456:789a:1::2"
LOGIN = "tunnel-admin"
HOUR = timedelta(hours=1)
PATIENCE = 120.0
"""Seconds for what takes one or ten on an idle machine."""


def soon(after: timedelta) -> datetime:
    return SystemClock().now().astimezone(UTC) + after


def run(shell: ServerShell, script: str) -> Completed:
    return shell.run_script(Secret(script), timeout=PATIENCE)


def apply(
    shell: ServerShell, names: tuple[str, ...], variables: Mapping[str, object], undo: str | None = None
) -> Report:
    plan = compile_roles(ROLES, names, variables, templates=TEMPLATES, undo=undo)
    report = plan.report(shell.run_script(plan.script, timeout=PATIENCE))
    report.raise_for_failure("node")
    return report


def server_variables(**more: object) -> dict[str, object]:
    return {
        "tunnel_server_short": NAMES.short,
        "tunnel_server_address": SERVER_ADDRESS,
        "tunnel_server_device_address": DEVICE_ADDRESS,
        "tunnel_server_session_port": SESSION_PORT,
        "tunnel_server_port": WIREGUARD_PORT,
        "tunnel_server_expires": int(soon(HOUR).timestamp()),
        "tunnel_server_login_user": LOGIN,
        **more,
    }


def device_variables(**more: object) -> dict[str, object]:
    return {
        "session_short": NAMES.short,
        "session_server_address": SERVER_ADDRESS,
        "session_device_address": DEVICE_ADDRESS,
        "session_port": SESSION_PORT,
        "device_access_expiry": soon(HOUR).strftime("%Y%m%d%H%M%SZ"),
        "device_access_seconds": 3600,
        "device_access_kex": list(key_exchanges(allow_classical=False)),
        **more,
    }


@dataclass(frozen=True, slots=True)
class Server:
    """A tunnel server as cloud-init left it."""

    node: Any
    address: str
    first_key: str
    login_private: Secret[str]

    def connect(self, host_key: str) -> ServerShell:
        return connect_server(
            self.address, user=LOGIN, private_key=self.login_private, host_key=host_key, timeout=PATIENCE
        )


def make_server(driver: LocalNodeDriver, name: str = "server", expires: datetime | None = None) -> Server:
    first_private, first_public = new_keypair("first minute")
    login_private, login_public = new_keypair("login")
    user_data = render_user_data(
        TEMPLATES,
        host_key_private=first_private,
        host_key_public=first_public,
        login_user=LOGIN,
        login_key=login_public,
        expires=expires or soon(HOUR),
    )
    node = start(driver, name, "debian-13", ex_userdata=user_data)
    return Server(node, node.public_ips[0], first_public, login_private)


def make_device(driver: LocalNodeDriver, name: str = "device") -> tuple[Any, ServerShell]:
    private, public = new_keypair("owner")
    node = start(driver, name, auth=NodeAuthSSHKey(public))
    # The device's own sshd is what Debian 12 has; only the session's is held to post-quantum.
    shell = connect_server(
        node.public_ips[0],
        user="root",
        private_key=private,
        host_key=node.extra["host_key"],
        timeout=PATIENCE,
        allow_classical=True,
    )
    return node, shell


@dataclass(frozen=True, slots=True)
class Pair:
    driver: LocalNodeDriver
    server: Server
    server_shell: ServerShell
    server_given: Mapping[str, object]
    peer_report: Report
    """Of the server's second run, which brought the peer."""
    device: Any
    device_shell: ServerShell
    device_given: Mapping[str, object]
    folder: Path

    def apply_device(self, undo: str | None = None, **more: object) -> Report:
        return apply(self.device_shell, DEVICE_ROLES, {**self.device_given, **more}, undo)

    def ssh(self, *words: str, options: tuple[str, ...] = ()) -> Completed:
        """Run a command in the session, through the server; any exit status."""
        return processes.run(
            ["ssh", *options, "-F", self.folder / "config", DEVICE, *words], timeout=PATIENCE, accept=None
        )


@contextmanager
def make_pair(driver: LocalNodeDriver, folder: Path) -> Iterator[Pair]:
    """Bring the server up with its peer, and a device to which no role has been applied yet."""
    server = make_server(driver)
    device, device_shell = make_device(driver)
    with device_shell:
        wireguard_private = processes.run(["wg", "genkey"]).stdout.strip()
        wireguard_public = processes.run(["wg", "pubkey"], stdin=wireguard_private.encode()).stdout.strip()
        psk = Secret(base64.b64encode(secrets.token_bytes(32)).decode())
        given = server_variables()
        with server.connect(server.first_key) as shell:
            apply(shell, ("tunnel_server",), given)
            keys = probes.read(shell, probes.server_keys(), timeout=PATIENCE)
        given |= {"tunnel_server_peer_public_key": wireguard_public, "tunnel_server_peer_psk": psk}
        host_private, host_public = new_keypair()
        admin_private, admin_public = new_keypair()
        _write_ssh(folder, server, keys["ssh"], host_public, admin_private)
        with server.connect(keys["ssh"]) as server_shell:
            peer_report = apply(server_shell, ("tunnel_server",), given)
            yield Pair(
                driver=driver,
                server=server,
                server_shell=server_shell,
                server_given=given,
                peer_report=peer_report,
                device=device,
                device_shell=device_shell,
                device_given=device_variables(
                    device_tunnel_private_key=Secret(wireguard_private),
                    device_tunnel_psk=psk,
                    device_tunnel_server_public_key=keys["wireguard"],
                    device_tunnel_server_endpoint=f"{server.address}:{WIREGUARD_PORT}",
                    device_access_host_key=host_private,
                    device_access_authorized_keys=[admin_public],
                ),
                folder=folder,
            )


def _write_ssh(folder: Path, server: Server, server_key: str, host_public: str, admin_private: Secret[str]) -> None:
    for name, key in (("login", server.login_private), ("admin", admin_private)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(key.reveal())
    first = Hop(server.address, LOGIN, server_key, str(folder / "login"))
    second = Hop(DEVICE_ADDRESS, NAMES.user, host_public, str(folder / "admin"), port=SESSION_PORT)
    files = Files(*(str(folder / name) for name in ("config", "known_hosts", "server.log", "device.log")))
    kex = key_exchanges(allow_classical=False)
    (folder / "config").write_text(ssh_config(first=first, device=second, files=files, kex=kex))
    (folder / "known_hosts").write_text(known_hosts(first=first, device=second))
