"""What needs an OpenSSH of 9.9 or newer: a server node as the product launches it, reached with ML-KEM only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.door_ssh import SshDoor
from support_tunnel.adapters.ssh_server import SshConnector
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Hops, ThroughServer
from support_tunnel.core.secret import Secret
from support_tunnel.testing.loopback_sshd import KeyPair, loopback_sshd
from support_tunnel.testing.records import FolderVault
from support_tunnel.testing.scratch_cloud import scratch_cloud, start

pytestmark = pytest.mark.onebox

TUNNEL = TunnelId("ab" * 16)
HOST, LOGIN = KeyPair.make(), KeyPair.make()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from libcloud.compute.base import NodeAuthSSHKey

    with scratch_cloud() as driver:
        auth = NodeAuthSSHKey(LOGIN.public)
        node = start(driver, "pq-server", image="debian-13", auth=auth, ex_host_key=HOST.private)
        yield node.public_ips[0]


def connect(address: str, **changes: Any) -> Any:
    given: dict[str, Any] = {"user": "root", "private_key": LOGIN.private, "host_key": HOST.public, "timeout": 30}
    return SshConnector(SystemClock()).connect(address, **(given | changes))


def test_a_server_is_reached_by_ml_kem_without_any_permission(address: str) -> None:
    with connect(address) as shell:
        assert shell.kex == "mlkem768x25519-sha256"
        assert shell.run_script(Secret("id -u\n"), timeout=10).stdout == "0\n"


def test_its_host_key_is_checked_as_well(address: str) -> None:
    with pytest.raises(HostError) as caught:
        connect(address, host_key=KeyPair.make().public)
    assert caught.value.code == "ssh.hostkey"


def test_a_host_key_replaced_between_two_connects_is_refused(address: str) -> None:
    """Threat 43: the tool pins H2 after the rotation; a server that goes back to H1 is not the one it was."""
    new = KeyPair.make()
    rotate = "\n".join(
        [
            "umask 077; cp /etc/ssh/ssh_host_ed25519_key /root/old",
            "cat > /etc/ssh/ssh_host_ed25519_key <<'KEY'",
            new.private.reveal().strip(),
            "KEY",
        ]
    )
    with connect(address) as shell:
        assert shell.run_script(Secret(rotate + "\nsystemctl restart ssh\n"), timeout=30).status == 0
        with connect(address, host_key=new.public):
            pass
        with pytest.raises(HostError) as caught:
            connect(address)
        assert caught.value.code == "ssh.hostkey"
        back = "cp /root/old /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh\n"
        assert shell.run_script(Secret(back), timeout=30).status == 0


def test_the_last_hop_goes_through_it_to_an_older_device(address: str, tmp_path: Path) -> None:
    """The device is a loopback sshd of this machine, reached over the server's side of the node's network."""
    vault = FolderVault(tmp_path / "vault")
    with connect(address) as shell:
        gateway = shell.run_script(Secret("ip route show default | cut -d ' ' -f 3\n"), timeout=10).stdout.strip()
    with loopback_sshd(tmp_path / "device", f"ListenAddress {gateway}") as device:
        vault.put(TUNNEL, "login-key", LOGIN.private_bytes())
        vault.put(TUNNEL, "session-key", device.login.private_bytes())
        door = SshDoor(vault)
        server = ThroughServer(address, "root", HOST.public)
        door.prepare(TUNNEL, Hops(server, gateway, device.port, "root", device.host.public))
        assert door.command(TUNNEL, "echo reached", timeout=30).stdout == "reached\n"
