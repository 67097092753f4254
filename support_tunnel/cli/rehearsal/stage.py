"""What a rehearsal plays on: the API, a device node with our settings, and an admin's own folders. All of it ends."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from support_tunnel.cli import paths
from support_tunnel.cli.admin_settings import AdminSettings
from support_tunnel.core import ssh_key
from support_tunnel.core.ports import Progress
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for

__all__ = ["DeviceNode", "Stage", "stage"]

RULE_MINUTES = 10


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A real host that stands in for a customer's device. `ssh` is the argument list that reaches its root."""

    id: str
    address: str
    ssh: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    folder: Path
    cloud_root: Path
    device: DeviceNode
    settings: AdminSettings
    bridge: str


@contextmanager
def stage(progress: Progress) -> Iterator[Stage]:
    """Set everything up and take everything down, also when it is interrupted half-way."""
    from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
    from support_tunnel.adapters.vault_tmpfs import default_vault_folder

    # In memory: keys of both sides lie in it.
    folder = default_vault_folder(os.environ).with_name(f"support_tunnel-rehearsal-{secrets.token_hex(4)}")
    folder.mkdir(mode=0o700)
    cloud_root = folder / "cloud"
    driver = LocalNodeDriver(cloud_root)
    try:
        with _played(folder, cloud_root, driver, progress) as ready:
            yield ready
    finally:
        for view in driver.nodes.views():
            driver.nodes.destroy(view.record.id)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _played(folder: Path, cloud_root: Path, driver: object, progress: Progress) -> Iterator[Stage]:
    from libcloud.compute.base import NodeAuthSSHKey

    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.local_cloud import network
    from support_tunnel.adapters.local_cloud.checkout import checkout_binds
    from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
    from support_tunnel.adapters.local_cloud.nodes import NodeState
    from support_tunnel.adapters.ssh_server import connect_server
    from support_tunnel.api.serve import RunningApi
    from support_tunnel.api.settings import ApiSettings
    from support_tunnel.api.tokens import create_token

    assert isinstance(driver, LocalNodeDriver)  # noqa: S101 - narrows a type that only the lazy import can name
    clock = SystemClock()
    progress.step("Booting a device")
    owner_private, owner_public = ssh_key.new_keypair("rehearsal, the owner's keyboard")
    node = driver.create_node(
        "device",
        driver.list_sizes()[0],
        next(image for image in driver.list_images() if image.id == "host"),
        auth=NodeAuthSSHKey(owner_public),
        ex_bind_ro=checkout_binds(),
    )
    wire = network.network_of(driver.nodes.cloud)
    gateway = network.gateway(wire) if wire else "127.0.0.1"
    progress.step("Starting the API")
    api_settings = ApiSettings(state_dir=folder / "api", host=gateway, port=0, names=(gateway,))
    with RunningApi(api_settings, clock=clock) as api:
        settings = _admin(folder, cloud_root, api.url, api.fingerprint or "")
        token = create_token(api.store, name="rehearsal", clock=clock)
        _write(folder / "token", token)
        signer_private, signer_public = ssh_key.new_keypair("rehearsal")
        _write(folder / "signer", signer_private)
        progress.step("Installing the device's settings")
        device = _device_node(folder, node, owner_private)
        wait_for(
            lambda: True if driver.nodes.views()[0].state is NodeState.READY else None,
            what="the device's sshd",
            seconds=60,
            clock=clock,
        )
        with connect_server(
            device.address,
            user="root",
            private_key=owner_private,
            host_key=node.extra["host_key"],
            timeout=30,
            clock=clock,
            allow_classical=True,  # the owner's own keyboard; Debian 12's sshd and Paramiko share no post-quantum exchange
        ) as shell:
            paths.library().converge(
                shell,
                ("device_settings",),
                {
                    "device_settings_api": api.url,
                    "device_settings_api_fingerprint": api.fingerprint or "",
                    "device_settings_name": "Rehearsal device",
                    "device_settings_consent": [{"signer": signer_public, "scope": "shell", "max_ttl_minutes": RULE_MINUTES}],
                },
                host="the device",
                timeout=30,
            )
        yield Stage(folder, cloud_root, device, settings, driver.nodes.cloud.bridge)


def _admin(folder: Path, cloud_root: Path, url: str, fingerprint: str) -> AdminSettings:
    return replace(
        AdminSettings(),
        api=url,
        api_fingerprint=fingerprint,
        token=f"file:{folder / 'token'}",
        signer=str(folder / "signer"),
        name="Rehearsal admin",
        state=str(folder / "state"),
        runtime=str(folder / "runtime"),
        clouds={"local": {"root": str(cloud_root)}},
    )


def _device_node(folder: Path, node: object, owner_private: Secret[str]) -> DeviceNode:
    address: str = node.public_ips[0]  # type: ignore[attr-defined]  # libcloud has no types
    host_key: str = node.extra["host_key"]  # type: ignore[attr-defined]  # libcloud has no types
    _write(folder / "owner", owner_private)
    _write(folder / "known_hosts", Secret(f"device {' '.join(host_key.split()[:2])}\n"))
    options = (
        *("-F", "/dev/null", "-i", str(folder / "owner"), "-o", f"UserKnownHostsFile={folder / 'known_hosts'}"),
        *("-o", "HostKeyAlias=device", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"),
        *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
    )
    return DeviceNode(node.id, address, ("ssh", *options, f"root@{address}"))  # type: ignore[attr-defined]  # as above


def _write(file: Path, value: Secret[str]) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(value.reveal())


def invoke_on_device(*words: str) -> str:
    """The command line that runs our own `inv` in a device node, with the interpreter of this process."""
    import shlex

    inv = Path(sys.executable).with_name("inv")
    return shlex.join(["env", "-C", str(paths.REPOSITORY), "PYTHONDONTWRITEBYTECODE=1", str(inv), *words])
