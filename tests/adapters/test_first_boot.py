"""A tunnel server's first boot by real programs: the document is held to cloud-init's own schema, applied by cloud-init at boot, and by the
script that a cloud without cloud-init starts; both, and the local driver's own seed, come to the same state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.clouds.gce import START_UP
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.images import debian_13
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Completed
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.desired.user_data import render_user_data
from support_tunnel.testing.scratch_cloud import scratch_cloud, start
from tests.roles.hosts import HOUR, LOGIN, PATIENCE, TEMPLATES, apply, run, server_variables, soon
from tests.roles.offered import take_off_and_offer

pytestmark = pytest.mark.onebox

FIRST, FIRST_PUBLIC = new_keypair("first minute")
LOGIN_KEY, LOGIN_PUBLIC = new_keypair("login")
DOCUMENT = render_user_data(
    TEMPLATES,
    host_key_private=FIRST,
    host_key_public=FIRST_PUBLIC,
    login_user=LOGIN,
    login_key=LOGIN_PUBLIC,
    expires=soon(HOUR),
)

# --- cloud-init's own schema --------------------------------------------------------------------------------------------

_SCHEMA = """
set -eu
mount -t tmpfs none "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay image -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cat >"$2/root/user-data"
exec chroot "$2/root" cloud-init schema --config-file /user-data
"""


def schema(document: str, folder: Path) -> Completed:
    """What Debian's cloud-init says of it, in the image of tunnel servers: nothing boots, and the image is only read."""
    return processes.run(
        ["unshare", "--mount", "sh", "-c", _SCHEMA, "schema", debian_13(), folder],
        stdin=document.encode(),
        timeout=PATIENCE,
        accept=None,
    )


def test_the_document_keeps_to_the_schema(tmp_path: Path) -> None:
    told = schema(DOCUMENT, tmp_path)
    assert told.status == 0, told.stdout + told.stderr
    assert "Valid schema" in told.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("runcmd:", "runcmds:"), ("lock_passwd: true", "lock_passwd: maybe"), ("permissions: ", "mode: ")],
    ids=["key", "value", "key within"],
)
def test_the_schema_finds_a_misspelt_word(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in DOCUMENT
    told = schema(DOCUMENT.replace(right, wrong, 1), tmp_path)
    assert told.status == 1, told.stdout
    assert "Invalid schema" in told.stderr


# --- one state by three ways --------------------------------------------------------------------------------------------

_STATE = r"""
set -eu
cd /
find etc/ssh etc/sudoers.d etc/cloud home/tunnel-admin etc/systemd/system -name 'cloud-*' -prune -o -printf '%M %u:%g %p %l\n' | sort
find etc/ssh home/tunnel-admin etc/systemd/system/support-tunnel-* -type f -exec sha256sum {} + | sort -k2
sed '/^#/d' etc/sudoers.d/*
echo "$(getent passwd tunnel-admin | cut -d: -f3-) $(getent shadow tunnel-admin | cut -d: -f2) $(id -Gn tunnel-admin)"
sshd -T | sort
dpkg-query -W
nft list ruleset
systemctl is-enabled support-tunnel-deadline.timer
systemctl is-active support-tunnel-deadline.timer ssh.service
systemctl list-timers --plain --no-legend | awk '{ print $(NF - 1) }' | sort
systemctl --failed --plain --no-legend
"""
"""What a login can find out about: files, modes, owners, contents, account, sshd, packages, filter, timers."""


@dataclass(frozen=True)
class Boots:
    driver: LocalNodeDriver
    seeded: Any
    """cloud-init was in the image, and the document there at boot."""
    late: Any
    """No cloud-init in the image: Google's start-up script installed it from the node's own apt, after the boot."""
    own: Any
    """No cloud-init at all: the local driver's own seed."""


@pytest.fixture(scope="module")
def boots() -> Iterator[Boots]:
    with scratch_cloud() as driver:
        seeded = start(driver, "server", "debian-13", ex_userdata=DOCUMENT)
        late = start(driver, "server", "debian-13", auth=NodeAuthSSHKey(LOGIN_PUBLIC))
        own = start(driver, "server", "debian-13", auth=NodeAuthSSHKey(LOGIN_PUBLIC), ex_host_key=FIRST)
        with root(late) as shell:
            offered = run(
                shell, take_off_and_offer("cloud-init") + "rm -rf /etc/cloud /run/cloud-init; ! command -v cloud-init"
            )
            assert offered.status == 0, offered.stderr
            # On Google the document is read from the metadata server; here it lies where another data source finds it.
            told = run(shell, f"mkdir -p {SEED} && cat >{SEED}/user-data <<'END'\n{DOCUMENT}END\n")
            assert told.status == 0, told.stderr
            assert run(shell, f"echo 'instance-id: late' >{SEED}/meta-data").status == 0
            started = run(shell, START_UP)
            assert started.status == 0, started.stdout[-2000:] + started.stderr
        yield Boots(driver, seeded, late, own)


SEED = "/var/lib/cloud/seed/nocloud"


def root(node: Any) -> ServerShell:
    return connect_server(
        node.public_ips[0], user="root", private_key=LOGIN_KEY, host_key=node.extra["host_key"], timeout=PATIENCE
    )


def login(node: Any) -> ServerShell:
    """As the admin's tool does at first contact: under the host key of the document, as the user of the document."""
    return connect_server(
        node.public_ips[0],
        user=LOGIN,
        private_key=LOGIN_KEY,
        host_key=FIRST_PUBLIC,
        timeout=PATIENCE,
    )


def state(node: Any) -> list[str]:
    with login(node) as shell:
        told = run(shell, _STATE)
    assert told.status == 0, told.stderr
    return told.stdout.splitlines()


def test_a_script_after_the_boot_comes_to_the_state_of_cloud_init_at_boot(boots: Boots) -> None:
    seeded, late = state(boots.seeded), state(boots.late)
    assert [line for line in seeded if line not in late] == []
    assert [line for line in late if line not in seeded] == []
    assert any("etc/systemd/system/support-tunnel-deadline.timer" in line for line in seeded)


def test_the_drivers_own_seed_has_the_same_keys_packages_and_filter(boots: Boots) -> None:
    """A node without user-data has root's login in place of the account, and no deadline: the driver is asked for neither."""
    same = r"""
        cd /etc/ssh && for file in ssh_host_*; do stat -c '%A %U:%G %n' $file; cut -d' ' -f1,2 $file | sha256sum; done
        dpkg-query -W
        nft list ruleset
        cut -d' ' -f1,2 %s/.ssh/authorized_keys; stat -c '%%A' %s/.ssh %s/.ssh/authorized_keys
        sshd -T | grep -E '^(hostkey|kexalgorithms|hostkeyalgorithms) '
    """
    with login(boots.seeded) as shell:
        seeded = run(shell, same.replace("%s", f"/home/{LOGIN}").replace("%%", "%"))
    with root(boots.own) as shell:
        own = run(shell, same.replace("%s", "/root").replace("%%", "%"))
    assert boots.own.extra["host_key"].split()[:2] == FIRST_PUBLIC.split()[:2]
    assert own.stdout.splitlines() == seeded.stdout.splitlines()
    assert seeded.stdout.count("root:root ssh_host_") == 2, "one host key and its public half"


def test_the_role_makes_the_same_server_of_both(boots: Boots) -> None:
    given = server_variables()
    made = []
    for node in (boots.seeded, boots.late):
        with login(node) as shell:
            apply(shell, ("tunnel_server",), given)
            made.append(run(shell, "nft list ruleset; sshd -T; ls -l /etc/ssh | awk '{ print $1, $3, $4, $9 }'").stdout)
    assert made[0] == made[1]
    assert "udp dport" in made[0]


# --- what goes wrong (45, 47) -------------------------------------------------------------------------------------------


def test_45_another_host_key_is_never_taken_and_the_console_tells_of_it(boots: Boots) -> None:
    """cloud-init that cannot read its document makes host keys of its own: whoever has them is not let in on trust."""
    broken = start(boots.driver, "broken", "debian-13", ex_userdata=DOCUMENT.replace("ssh_keys:", "ssh_keys: ["))
    with pytest.raises(HostError) as refused:
        connect_server(
            broken.public_ips[0],
            user=LOGIN,
            private_key=LOGIN_KEY,
            host_key=FIRST_PUBLIC,
            timeout=1,
            first_contact=True,
        )
    assert refused.value.code == "ssh.hostkey"
    cloud = LibcloudCloud("local", {"root": boots.driver.key}, SystemClock())
    assert any("cloud-init" in line.lower() for line in cloud.console(broken.id))


def test_a_node_cannot_have_a_file_of_this_machine_read_as_its_console(boots: Boots, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    with root(boots.own) as shell:
        assert run(shell, f"ln -sf {tmp_path}/secret /var/log/cloud-init-output.log").status == 0
        assert "canary" not in boots.driver.ex_console(boots.own)
        assert run(shell, f"rm -r /var/log && ln -s {tmp_path} /var/log && touch /etc/done").status == 0
    (tmp_path / "cloud-init-output.log").write_text("canary")
    assert "canary" not in boots.driver.ex_console(boots.own)


def test_47_without_a_mirror_an_image_with_the_packages_works_and_another_is_refused_by_name(boots: Boots) -> None:
    """No node here reaches a mirror. That the first kind works is what every test with a tunnel shows; this is the second."""
    bare = start(boots.driver, "bare", "debian-13", ex_userdata=DOCUMENT)
    with login(bare) as shell:
        assert run(shell, "dpkg --purge wireguard-tools && ! command -v wg").status == 0
        with pytest.raises(HostError) as failed:
            apply(shell, ("tunnel_server",), server_variables())
        assert failed.value.code == "converge.failed"
        assert "Packages" in failed.value.message
        assert "wireguard-tools" in failed.value.message
        # Before anything of the tunnel: no WireGuard key was made, so no answer (M2) can have been.
        assert run(shell, "ls /etc/wireguard/st0.key").status != 0
