"""Own nodes of this machine beside a real Headscale: a folder in memory, what still runs for it. Nothing outlives the `with`."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.adapters.door_ssh import SshDoor
from support_tunnel.adapters.own_node import UserspaceNode
from support_tunnel.cli import paths
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Hops, Joining, ThroughOwnNode
from support_tunnel.core.secret import Secret
from support_tunnel.testing.loopback_sshd import LoopbackSshd, loopback_sshd
from support_tunnel.testing.records import FolderVault
from tests.headscale.real import CLOCK, Members, RealHeadscale

TUNNEL, OTHER = TunnelId("0badcafe" * 4), TunnelId("0ddba115" * 4)


def own_node(folder: Path) -> UserspaceNode:
    """What a `fab` call makes: it knows nothing of an earlier one but the folder."""
    return UserspaceNode(folder / "nodes", str(built_tool(paths.REPOSITORY, "tailscaled").parent), CLOCK)


@contextmanager
def memory() -> Iterator[Path]:
    folder = Path(f"/dev/shm/st-own-{secrets.token_hex(4)}")  # noqa: S108 - 0700, of a random name, and gone afterwards
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        for number in processes_for(folder):
            with suppress(ProcessLookupError):  # it ended by itself since it was looked for
                os.kill(number, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def processes_for(folder: Path) -> dict[int, list[str]]:
    """Arguments, by its number, of every other process that has this folder in one of them; a zombie has none."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(str(folder) in word for word in words):
                found[int(entry.name)] = words
    return found


def nothing_left_of(folder: Path, tunnel: TunnelId) -> None:
    assert not processes_for(folder / "nodes" / tunnel)
    assert not (folder / "nodes" / tunnel).exists()


@dataclass(frozen=True)
class Place:
    """A server without a policy, where everybody reaches everybody; a member with an sshd; a node of this machine."""

    server: RealHeadscale
    members: Members
    device: str
    sshd: LoopbackSshd
    folder: Path

    def key(self, tag: str) -> Secret[str]:
        with self.server.client(self.server.api_key()) as client:
            return client.create_join_key(600, tags=[f"tag:{tag}"]).text

    def joining(self, seconds: int = 1800) -> Joining:
        return Joining(self.server.url, self.server.tls.authority, self.key("admin"), seconds)

    def names(self) -> list[str]:
        with self.server.client(self.server.api_key()) as client:
            return sorted(node.name for node in client.nodes())

    def door(self, folder: Path, **changes: Any) -> SshDoor:
        vault = FolderVault(folder / "vault")
        vault.put(TUNNEL, "session-key", self.sshd.login.private_bytes())
        given: dict[str, Any] = {
            "device_port": self.sshd.port,
            "device_user": "root",
            "device_host_key": self.sshd.host.public,
        }
        through = ThroughOwnNode(own_node(self.folder).through(TUNNEL))
        door = SshDoor(vault)
        door.prepare(TUNNEL, Hops(through, self.device, **(given | changes)))
        return door


@contextmanager
def own_place(network: tuple[RealHeadscale, Members], folder: Path) -> Iterator[Place]:
    server, members = network
    with server.client(server.api_key()) as client:
        members.join(client.create_join_key(600, tags=["tag:device"]).text, "device")
        (device,) = client.nodes()
    with (
        memory() as private,
        loopback_sshd(folder / "sshd", "Subsystem sftp internal-sftp", namespace=members.namespace) as sshd,
    ):
        made = Place(server, members, next(one for one in device.addresses if ":" in one), sshd, private)
        with pytest.MonkeyPatch.context() as surroundings:
            surroundings.setenv(
                "TS_DEBUG_PERMIT_HTTP_C2N", "true"
            )  # whatever the admin's shell has, none of it is the node's
            own_node(private).join(TUNNEL, made.joining())
        yield made
