"""`fab converge` as typed, over thirty real hosts in one call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.testing.scratch_cloud import ready, scratch_cloud

pytestmark = pytest.mark.onebox

ROOT = Path(__file__).parents[2]
NUMBER = 30
"""More than the 26 that Linux's own limit of inotify instances lets boot (docs/decisions/0007, design 04)."""
FEW = [f"n{number}" for number in range(5)]


@dataclass(frozen=True, slots=True)
class Fleet:
    folder: Path
    nodes: dict[str, Any]
    private: Secret[str]

    def write(self, **broken: dict[str, object]) -> None:
        """Write the inventory; `broken` are variables of single hosts that win over the right ones."""
        hosts = {
            name: {"ansible_host": node.public_ips[0], "support_tunnel_host_key": node.extra["host_key"]}
            | broken.get(name, {})
            for name, node in self.nodes.items()
        }
        given = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "device_settings_api": "https://api.example.net",
        }
        (self.folder / "inventory").mkdir(exist_ok=True)
        document = {"fleet": {"hosts": hosts, "vars": given}}
        (self.folder / "inventory/hosts.yml").write_text(yaml.safe_dump(document))

    def converge(self, *flags: str) -> tuple[int, dict[str, Any], str]:
        """Exit status, the result, stderr."""
        words = ["converge", "device_settings", "-H", "fleet", "--inventory", str(self.folder / "inventory")]
        done = subprocess.run(
            # the hosts' own sshd is Debian 12's, older than post-quantum by default
            [sys.executable, "-m", "fabric", *words, "--allow-classical-ssh", "--json", *flags],
            capture_output=True, text=True, timeout=200, check=False, cwd=ROOT,
            env=os.environ | {"HOME": str(self.folder)},
        )  # fmt: skip
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[0]), done.stderr

    def shell(self, name: str) -> ServerShell:
        node = self.nodes[name]
        return connect_server(
            node.public_ips[0],
            user="root",
            private_key=self.private,
            host_key=node.extra["host_key"],
            timeout=60,
            allow_classical=True,
        )


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    private, public = new_keypair("fleet")
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(private.reveal())
    with scratch_cloud() as driver:
        yield Fleet(folder, _nodes(driver, public), private)


def _nodes(driver: LocalNodeDriver, public: str) -> dict[str, Any]:
    """All made before the first is waited for: they boot beside each other. `host` boots faster than `debian-13`."""
    names = [f"n{number}" for number in range(NUMBER)]
    image = next(item for item in driver.list_images() if item.id == "host")
    size = driver.list_sizes()[0]
    made = {name: driver.create_node(name, size, image, auth=NodeAuthSSHKey(public)) for name in names}
    return {name: ready(driver, node) for name, node in made.items()}


def states(result: dict[str, Any]) -> dict[str, str]:
    return {name: host["status"] for name, host in result["hosts"].items()}


def test_thirty_hosts_converge_in_one_call_and_the_second_changes_nothing(fleet: Fleet) -> None:
    everybody = list(fleet.nodes)
    assert len(everybody) == NUMBER
    fleet.write()
    status, result, _ = fleet.converge("--forks", str(NUMBER))
    assert (status, states(result)) == (0, dict.fromkeys(everybody, "changed"))
    with fleet.shell(everybody[-1]) as shell:
        said = shell.run_script(Secret("cat /etc/support_tunnel/config.ini"), timeout=30).stdout
    assert "https://api.example.net" in said
    status, result, _ = fleet.converge()
    assert (status, states(result)) == (0, dict.fromkeys(everybody, "ok"))
    for host in result["hosts"].values():
        assert host["counts"]["ok"] + host["counts"]["skipped"] == len(host["tasks"]) > 2


def test_drift_is_found_and_trouble_stays_where_it_is(fleet: Fleet) -> None:
    few = ("--limit", ",".join(FEW))
    fleet.write()
    fleet.converge(*few)
    with fleet.shell("n3") as shell:
        shell.run_script(Secret("echo '# drift' >>/etc/support_tunnel/config.ini"), timeout=30)
    status, result, said = fleet.converge(*few, "--check", "--diff", "--forks", "2")
    assert (status, states(result)) == (2, dict.fromkeys(FEW, "ok") | {"n3": "changed"})
    assert "Drift: 1 of 5 hosts would change: n3" in said
    diffs = [task.get("diff", "") for task in result["hosts"]["n3"]["tasks"]]
    assert any("-# drift" in diff for diff in diffs)

    # Nobody listens at n0, somebody else answers at n1; the drift of n3 is repaired all the same.
    stranger = new_keypair("stranger")[1]
    fleet.write(n0={"ansible_port": 1}, n1={"support_tunnel_host_key": stranger})
    status, result, said = fleet.converge(*few)
    assert status == 6
    wrong = {"n0": "unreachable", "n1": "unreachable", "n3": "changed"}
    assert states(result) == dict.fromkeys(FEW, "ok") | wrong
    assert result["hosts"]["n1"]["error"]["code"] == "ssh.hostkey"
    assert "2 of 5 hosts failed: n0, n1" in said
