"""What a rehearsal plays on: the API, a device node with our settings, and an admin's own folders. All of it ends."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from support_tunnel.cli import paths
from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.called import DEVICE
from support_tunnel.core import ssh_key
from support_tunnel.core.ports import Progress
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for

if TYPE_CHECKING:
    from support_tunnel.adapters.local_cloud.nodes import NodeRequest

__all__ = ["DeviceNode", "Stage", "invoke_on_device", "remove_dead", "stage"]

RULE_MINUTES = 10
_PREFIX = "support_tunnel-rehearsal-"


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
def stage(
    progress: Progress, *, consent: bool = True, image: str = "host", bind_ro: Sequence[Path] = ()
) -> Iterator[Stage]:
    """Set everything up and take everything down, also when it is interrupted half-way.

    A device made from the `host` image sees this checkout and runs it; one from another sees `bind_ro` only.

    Without `consent` the device has no policy that lets the admin in, and asks whoever is at its terminal.
    """
    from support_tunnel.adapters.local_cloud import require_linux

    require_linux()
    from support_tunnel.adapters.local_cloud.checkout import checkout_binds
    from support_tunnel.adapters.local_cloud.nodes import NodeRequest

    remove_dead()
    folder = _home() / f"{_PREFIX}{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    with _held(folder):
        try:
            seen = (*bind_ro, *(checkout_binds() if image == "host" else ()))
            request = NodeRequest("device", image=image, bind_ro=seen)
            with _played(folder, progress, request, consent=consent) as ready:
                yield ready
        finally:
            _clear(folder)


def remove_dead() -> list[str]:
    """End what killed rehearsals left: their nodes and folders. Returns their names; one that still runs is left alone."""
    removed = []
    for folder in sorted(_home().glob(f"{_PREFIX}*")):
        with suppress(BlockingIOError), _held(folder):
            _clear(folder)
            removed.append(folder.name)
    return removed


def _home() -> Path:
    """In memory: keys of both sides lie in there."""
    from support_tunnel.adapters.memory_folder import user_folder

    return user_folder(os.environ).parent


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Raises BlockingIOError while a living process plays in this folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _clear(folder: Path) -> None:
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.local_cloud.layout import CloudLayout
    from support_tunnel.adapters.local_cloud.nodes import Nodes

    Nodes(CloudLayout(folder / "cloud"), SystemClock()).destroy_all()
    shutil.rmtree(folder)


@contextmanager
def _played(folder: Path, progress: Progress, request: NodeRequest, *, consent: bool) -> Iterator[Stage]:
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.local_cloud import network
    from support_tunnel.adapters.local_cloud.layout import CloudLayout
    from support_tunnel.adapters.local_cloud.nodes import Nodes, NodeState
    from support_tunnel.adapters.ssh_server import connect_server
    from support_tunnel.api.serve import RunningApi
    from support_tunnel.api.settings import ApiSettings
    from support_tunnel.api.tokens import create_token

    clock = SystemClock()
    nodes = Nodes(CloudLayout(folder / "cloud"), clock)
    progress.step("Booting a device")
    owner_private, owner_public = ssh_key.new_keypair("rehearsal, the owner's keyboard")
    node = nodes.create(replace(request, authorized_key=owner_public))
    wire = network.network_of(nodes.cloud)
    gateway = network.gateway(wire) if wire else "127.0.0.1"
    progress.step("Starting the API")
    api_settings = ApiSettings(state_dir=folder / "api", host=gateway, port=0, names=(gateway,))
    with RunningApi(api_settings, clock=clock) as api:
        settings = _admin(folder, api.url, api.fingerprint or "")
        _write(folder / "token", create_token(api.store, name="rehearsal", clock=clock))
        signer_private, signer_public = ssh_key.new_keypair("rehearsal")
        _write(folder / "signer", signer_private)
        progress.step("Installing the device's settings")
        device = _device_node(folder, node.id, node.address, node.host_key, owner_private)
        wait_for(
            lambda: True if nodes.views()[0].state is NodeState.READY else None,
            what="the device's sshd",
            seconds=180,
            clock=clock,
        )
        with (
            connect_server(
                node.address,
                user="root",
                private_key=owner_private,
                host_key=node.host_key,
                timeout=120,
                clock=clock,
                allow_classical=True,  # the owner's own keyboard; Debian 12's sshd and Paramiko share no post-quantum exchange
            ) as shell
        ):
            paths.library().converge(
                shell,
                ("device_settings",),
                {
                    "device_settings_api": api.url,
                    "device_settings_api_fingerprint": api.fingerprint or "",
                    "device_settings_name": "Rehearsal device",
                    "device_settings_consent": [
                        {"signer": signer_public, "scope": "shell", "max_ttl_minutes": RULE_MINUTES}
                    ]
                    * consent,
                },
                host="the device",
                timeout=120,
            )
        yield Stage(folder, nodes.cloud.root, device, settings, nodes.cloud.bridge)


def _admin(folder: Path, url: str, fingerprint: str) -> AdminSettings:
    return replace(
        AdminSettings(),
        api=url,
        api_fingerprint=fingerprint,
        token=f"file:{folder / 'token'}",
        signer=str(folder / "signer"),
        name="Rehearsal admin",
        state=str(folder / "state"),
        runtime=str(folder / "runtime"),
        clouds={"local": {"root": str(folder / "cloud")}},
    )


def _device_node(folder: Path, node_id: str, address: str, host_key: str, owner_private: Secret[str]) -> DeviceNode:
    _write(folder / "owner", owner_private)
    _write(folder / "known_hosts", Secret(f"device {' '.join(host_key.split()[:2])}\n"))
    options = (
        *("-F", "/dev/null", "-i", str(folder / "owner"), "-o", f"UserKnownHostsFile={folder / 'known_hosts'}"),
        *("-o", "HostKeyAlias=device", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"),
        *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
        # It stands for a cable of some centimetres, and OpenSSH 9 computes longer for sntrup761 than for all the rest of a login.
        *("-o", "KexAlgorithms=curve25519-sha256"),
    )
    return DeviceNode(node_id, address, ("ssh", *options, f"root@{address}"))


def _write(file: Path, value: Secret[str]) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(value.reveal())


def invoke_on_device(*words: str) -> str:
    """The command line that runs our own `inv` in a device node, with the interpreter of this process."""
    inv = Path(sys.executable).with_name("inv" if paths.CHECKOUT else DEVICE)
    return shlex.join(["env", "-C", str(paths.REPOSITORY), "PYTHONDONTWRITEBYTECODE=1", str(inv), *words])
