"""A tunnel server's image, booted fresh for one measurement, with its login key where each tool expects one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.snapshot import Snapshot
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.testing.scratch_cloud import start

__all__ = ["FreshNode", "fresh_node", "said_by"]


@dataclass(frozen=True, slots=True)
class FreshNode:
    """`key_file` is its root's login key, for tools that take a file; it lets in to this node only."""

    driver: LocalNodeDriver
    node: Any
    key: Secret[str]
    key_file: Path

    @property
    def address(self) -> str:
        return str(self.node.public_ips[0])

    @property
    def host_key(self) -> str:
        return str(self.node.extra["host_key"])

    def connect(self) -> ServerShell:
        return connect_server(self.address, user="root", private_key=self.key, host_key=self.host_key, timeout=60)

    def snapshot(self) -> Snapshot:
        return self.driver.ex_snapshot(self.node)


@contextmanager
def fresh_node(driver: LocalNodeDriver, folder: Path, name: str) -> Iterator[FreshNode]:
    """Boot a `debian-13` node and wait until it has nothing left to do; end it afterwards."""
    private, public = new_keypair(name)
    key_file = folder / f"{name}.key"
    key_file.touch(mode=0o600)
    key_file.write_text(private.reveal())
    node = start(driver, name, "debian-13", auth=NodeAuthSSHKey(public))
    try:
        fresh = FreshNode(driver, node, private, key_file)
        with fresh.connect() as shell:
            said_by(shell, "systemctl is-system-running --wait")
        yield fresh
    finally:
        driver.destroy_node(node)
        key_file.unlink()


def said_by(shell: ServerShell, script: str) -> str:
    """Run a script on the node and return its output. Raises RuntimeError when it fails."""
    ended = shell.run_script(Secret(f"set -e\n{script}\n"), timeout=60)
    if ended.status != 0:
        raise RuntimeError(f"on a node of the bench: {ended.stdout}{ended.stderr}")
    return ended.stdout
