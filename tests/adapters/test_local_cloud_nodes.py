"""Nodes are hosts: what the device's side and the server's side of the product rely on, seen from inside by SSH."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from libcloud.compute.base import NodeAuthSSHKey
from libcloud.compute.providers import get_driver

from support_tunnel.adapters import local_cloud, processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.checkout import checkout_binds
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.ssh_key import new_keypair, parse_public
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired.user_data import render_user_data
from support_tunnel.testing.scratch_cloud import ready, scratch_cloud, start

pytestmark = pytest.mark.onebox

TEMPLATES = Path(__file__).parents[2] / "templates"
Ssh = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def login(tmp_path: Path) -> Path:
    """A login key in a file, its public half beside it."""
    private, public = new_keypair()
    path = tmp_path / "login"
    path.touch(mode=0o600)
    path.write_text(private.reveal())
    path.with_suffix(".pub").write_text(public)
    return path


@pytest.fixture
def auth(login: Path) -> NodeAuthSSHKey:
    return NodeAuthSSHKey(login.with_suffix(".pub").read_text())


@pytest.fixture
def ssh(login: Path, tmp_path: Path) -> Ssh:
    """Run a command in a node, its host key pinned to the one given."""

    def run(node: Any, command: str, *, host_key: str = "", user: str = "root") -> subprocess.CompletedProcess[str]:
        known = tmp_path / "known_hosts"
        known.write_text(f"{node.public_ips[0]} {host_key or node.extra['host_key']}\n")
        options = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "BatchMode=yes", "IdentitiesOnly=yes"]
        words = [word for option in options for word in ("-o", option)]
        return subprocess.run(
            ["ssh", "-F", "none", "-i", str(login), *words, f"{user}@{node.public_ips[0]}", command],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def cloud() -> Iterator[LocalNodeDriver]:
    with scratch_cloud() as driver:
        yield driver


def test_libcloud_knows_it_by_name_however_often_it_is_registered(tmp_path: Path) -> None:
    local_cloud.register()
    local_cloud.register()
    driver = get_driver("local")(tmp_path)
    assert driver.list_nodes() == []
    assert {image.id for image in driver.list_images()} == {"host", "debian-13"}


def test_libcloud_itself_can_wait_for_a_node(cloud: LocalNodeDriver) -> None:
    node = cloud.create_node("plain", cloud.list_sizes()[0], cloud.list_images()[0])
    ((seen, addresses),) = cloud.wait_until_running([node], wait_period=0.1, timeout=60)
    assert (seen.id, addresses) == (node.id, node.public_ips)


def test_a_node_that_cannot_boot_says_so(cloud: LocalNodeDriver, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    node = start(cloud, "bound", ex_bind_ro=[gone])
    gone.rmdir()
    cloud.reboot_node(node)
    with pytest.raises(HostError, match=r"did not boot: .*gone"):
        ready(cloud, node)


@pytest.mark.parametrize("image", ["host", "debian-13"])
def test_a_node_is_a_whole_debian_host(cloud: LocalNodeDriver, ssh: Ssh, auth: NodeAuthSSHKey, image: str) -> None:
    node = start(cloud, "whole", image, auth=auth)
    assert ssh(node, "systemctl is-system-running --wait").stdout == "running\n"
    assert ssh(node, "hostname; cat /etc/hostname").stdout == "whole\nwhole\n"
    assert ssh(node, "sudo -u nobody true").stderr == ""
    assert ssh(node, "loginctl list-sessions --no-legend").returncode == 0
    assert ssh(node, "ip tuntap add wg0 mode tun && nft add table inet t && ip link del wg0").returncode == 0
    assert ssh(node, "test -c /dev/net/tun && command -v wireguard-go wg nft sudo").returncode == 0
    # Nothing of this machine's own: its keys, its people's files, its jobs.
    assert ssh(node, "ls -A /home; systemctl --failed --no-legend; ls /etc/wireguard").stdout == ""
    timers = ssh(node, "systemctl list-timers --no-legend --plain").stdout.splitlines()
    assert [line for line in timers if "systemd-tmpfiles-clean" not in line] == []


def test_a_device_node_has_polkit_for_those_who_try_to_get_past_it(
    cloud: LocalNodeDriver, ssh: Ssh, auth: NodeAuthSSHKey
) -> None:
    node = start(cloud, "device", auth=auth)
    asked = ssh(node, "busctl call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority "
                      "org.freedesktop.DBus.Peer Ping && systemctl is-active polkit dbus systemd-logind")  # fmt: skip
    assert asked.stdout.split() == ["active"] * 3, asked.stderr


def test_a_device_node_runs_our_own_code_and_cannot_change_it(
    cloud: LocalNodeDriver, ssh: Ssh, auth: NodeAuthSSHKey
) -> None:
    node = start(cloud, "device", auth=auth, ex_bind_ro=checkout_binds())
    program = "import support_tunnel, cryptography, invoke; print(support_tunnel.__file__)"
    command = shlex.join([sys.executable, "-B", "-c", program])
    seen = ssh(node, f"cd {shlex.quote(str(TEMPLATES.parent))} && PYTHONPATH=. {command}")
    assert seen.stdout.strip() == str(TEMPLATES.parent / "support_tunnel" / "__init__.py"), seen.stderr
    assert "Read-only" in ssh(node, f"touch {shlex.quote(str(TEMPLATES))}/x").stderr


def test_nodes_reach_each_other_and_keep_their_services_apart(
    cloud: LocalNodeDriver, ssh: Ssh, auth: NodeAuthSSHKey
) -> None:
    one, two = start(cloud, "one", auth=auth), start(cloud, "two", auth=auth)
    seen = ssh(one, f"ssh-keyscan -t ed25519 {two.public_ips[0]} 2>/dev/null").stdout
    assert two.extra["host_key"].split()[1] in seen
    # The same unit in both: stopped in one, it must neither wait for the other's processes nor take them along.
    for node in (one, two):
        assert ssh(node, "systemd-run --quiet --unit=same sleep 600").returncode == 0
    stopped = ssh(one, "systemctl stop same && systemctl is-active same")
    assert stopped.stdout == "inactive\n", stopped.stderr
    assert ssh(two, "systemctl is-active same").stdout == "active\n"


def test_a_reboot_keeps_the_disk_and_a_power_off_is_seen(
    cloud: LocalNodeDriver, ssh: Ssh, auth: NodeAuthSSHKey
) -> None:
    node = start(cloud, "again", auth=auth)
    ssh(node, "touch /etc/kept /run/lost")
    assert cloud.reboot_node(node)
    ready(cloud, node)
    assert ssh(node, "ls /etc/kept /run/lost").stdout == "/etc/kept\n"
    ssh(node, "systemctl poweroff")
    wait_for(
        lambda: True if str(cloud.list_nodes()[0].state) == "stopped" else None,
        what="power off",
        seconds=30,
        clock=SystemClock(),
    )
    assert cloud.destroy_node(node)
    assert not cloud.destroy_node(node)


def test_a_host_key_can_be_given(cloud: LocalNodeDriver, ssh: Ssh, auth: NodeAuthSSHKey) -> None:
    private, public = new_keypair()
    node = start(cloud, "known", auth=auth, ex_host_key=private)
    assert node.extra["host_key"] == public
    assert ssh(node, "true", host_key=public).returncode == 0
    assert "Host key verification failed" in ssh(node, "true", host_key=new_keypair()[1]).stderr


def user_data(login: Path, *, minutes: float, user: str = "tunnel-admin") -> tuple[str, str]:
    private, public = new_keypair()
    parse_public(public)
    document = render_user_data(
        TEMPLATES,
        host_key_private=private,
        host_key_public=public,
        login_user=user,
        login_key=login.with_suffix(".pub").read_text(),
        expires=SystemClock().now() + timedelta(minutes=minutes),
    )
    return document, public


def test_a_server_is_what_its_user_data_says(cloud: LocalNodeDriver, ssh: Ssh, login: Path) -> None:
    document, host_key = user_data(login, minutes=30)
    node = start(cloud, "server", "debian-13", ex_userdata=document)
    inside = ssh(
        node, "sudo -n id -u; sudo passwd -S tunnel-admin; cloud-init status", host_key=host_key, user="tunnel-admin"
    )
    assert re.fullmatch(r"0\ntunnel-admin L .*\nstatus: done\n", inside.stdout), inside.stderr
    keys = "sudo cloud-init schema --system; ls /etc/ssh/ssh_host_*; systemctl is-active support-tunnel-deadline.timer"
    seen = ssh(node, keys, host_key=host_key, user="tunnel-admin")
    assert "Valid schema user-data" in seen.stdout, seen.stdout + seen.stderr
    assert seen.stdout.split()[-3:] == ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub", "active"]
    for stranger in ("root", "debian"):
        assert "Permission denied (publickey)" in ssh(node, "id", host_key=host_key, user=stranger).stderr
    assert "mlkem768x25519-sha256" in ssh(node, "sudo sshd -T", host_key=host_key, user="tunnel-admin").stdout


def test_a_server_past_its_hour_turns_itself_off(cloud: LocalNodeDriver, login: Path) -> None:
    document, _ = user_data(login, minutes=-1)
    offered = {item.id: item for item in cloud.list_images()}
    cloud.create_node("late", cloud.list_sizes()[0], offered["debian-13"], ex_userdata=document)
    wait_for(
        lambda: True if str(cloud.list_nodes()[0].state) == "stopped" else None,
        what="end of the server",
        seconds=60,
        clock=SystemClock(),
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"name": "a b"}, "cloud.name"),
        ({"name": "x\n127.0.0.1 evil"}, "cloud.name"),
        ({"ex_userdata": "#cloud-config\n"}, "cloud.user-data"),
        ({"ex_bind_ro": [Path("/nowhere/at/all")]}, "cloud.bind"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is(
    cloud: LocalNodeDriver, arguments: dict[str, Any], code: str
) -> None:
    with pytest.raises(SupportTunnelError) as refused:
        start(cloud, **{"name": "fine", **arguments})
    assert refused.value.code == code
    assert not Path(cloud.key).exists()


def test_somebody_without_root_reads_one_sentence(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver\n"
        "driver = LocalNodeDriver(sys.argv[1])\n"
        "os.seteuid(65534)\n"
        "try: driver.create_node('x', driver.list_sizes()[0], driver.list_images()[1])\n"
        "except Exception as error: print(error.code, error.next_step)"
    )
    ended = processes.run(
        [sys.executable, "-c", program, tmp_path / "cloud"], env={"PYTHONPATH": str(TEMPLATES.parent)}, accept=None
    )
    assert ended.stdout == "cloud.root-needed Run the same command with sudo.\n", ended.stderr
    assert not (tmp_path / "cloud").exists()
