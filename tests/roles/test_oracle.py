"""ansible-playbook as the judge: what it makes of each role on a twin host is what our engine makes of it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.ssh_server import ServerShell
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.roles.hosts import (
    DEVICE_ROLES,
    HOUR,
    LOGIN,
    NAMES,
    apply,
    device_variables,
    make_device,
    make_server,
    run,
    server_variables,
    soon,
)
from tests.roles.judge import Ansible

pytestmark = [pytest.mark.onebox, pytest.mark.oracle]

MADE_THERE = "st0.key|st0.pub|ssh_host_|/key|/public"
"""Keys that a host makes for itself: owner and mode are compared, contents cannot be."""


@pytest.fixture(scope="module")
def driver() -> Iterator[LocalNodeDriver]:
    with scratch_cloud() as made:
        yield made


def seen(shell: ServerShell, paths: str, units: str) -> list[str]:
    """Kind, owner, mode and digest of everything below `paths`; state of `units`; the account of the session."""
    script = f"""find {paths} | sort | while read -r path; do
            stat -c '%n %F %U:%G %a' "$path"
            case $path in *{MADE_THERE.replace("|", "*|*")}*) ;; *) [ ! -f "$path" ] || sha256sum <"$path" ;; esac
        done
        for unit in {units}; do systemctl is-active "$unit"; systemctl is-enabled "$unit"; done
        getent passwd {NAMES.user}; getent shadow {NAMES.user} | cut -d: -f1,2,4-; getent group {NAMES.user}
        nft list ruleset"""
    return run(shell, script).stdout.splitlines()


def test_tunnel_server_is_what_ansible_makes_of_it(driver: LocalNodeDriver, tmp_path: Path) -> None:
    expires = soon(HOUR)  # one hour for both: cloud-init writes it down
    ours, theirs = (make_server(driver, f"server-{whose}", expires) for whose in ("ours", "theirs"))
    # No package mirror is reachable here, and Ansible's apt would first install its own Python binding from one.
    given = server_variables(
        tunnel_server_packages=[],
        tunnel_server_second_port=443,
        tunnel_server_peer_public_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        tunnel_server_peer_psk=Secret(base64.b64encode(secrets.token_bytes(32)).decode()),
    )
    ansible = Ansible(tmp_path, theirs.address, LOGIN, theirs.login_private, theirs.first_key)
    what = (
        "/etc/ssh /etc/wireguard /etc/nftables.conf /etc/cloud/cloud-init.disabled /etc/systemd/system",
        "ssh.service nftables.service support-tunnel-wireguard.service support-tunnel-expiry.timer",
    )
    read_key = "/etc/ssh/ssh_host_ed25519_key_tunnel.pub"
    with ours.connect(ours.first_key) as our_shell, theirs.connect(theirs.first_key) as their_shell:
        assert apply(our_shell, ("tunnel_server",), given).changed
        assert ansible.play(("tunnel_server",), given) > 0
        ansible.trust(run(their_shell, f"cat {read_key}").stdout.strip())
        assert seen(our_shell, *what) == seen(their_shell, *what)
        assert not apply(our_shell, ("tunnel_server",), given).changed
        assert ansible.play(("tunnel_server",), given) == 0


def test_tunnel_guest_is_what_ansible_makes_of_it(driver: LocalNodeDriver, tmp_path: Path) -> None:
    (_, our_shell), (theirs, their_shell) = (make_device(driver, f"kept-{whose}") for whose in ("ours", "theirs"))
    given = server_variables(
        tunnel_server_second_port=443,
        tunnel_server_peer_public_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        tunnel_server_peer_psk=Secret(base64.b64encode(secrets.token_bytes(32)).decode()),
    )
    folder = f"/run/support_tunnel_server/{NAMES.short}"
    what = (
        f"/run/support_tunnel_server /run/systemd/system/support-tunnel-{NAMES.short}.service",
        f"support-tunnel-{NAMES.short}.service",
    )
    private, public = new_keypair("judge")
    with our_shell, their_shell:
        for shell in (our_shell, their_shell):
            # What claims the place makes; and a login for Ansible.
            made = f"mkdir -p -m 700 /run/support_tunnel_server {folder}; echo '{public}' >>/root/.ssh/authorized_keys"
            assert run(shell, made).status == 0
        ansible = Ansible(tmp_path, theirs.public_ips[0], "root", private, theirs.extra["host_key"])
        assert apply(our_shell, ("tunnel_guest",), given).changed
        assert ansible.play(("tunnel_guest",), given) > 0
        assert seen(our_shell, *what) == seen(their_shell, *what)
        assert not apply(our_shell, ("tunnel_guest",), given).changed
        assert ansible.play(("tunnel_guest",), given) == 0


def test_the_device_roles_are_what_ansible_makes_of_them(driver: LocalNodeDriver, tmp_path: Path) -> None:
    host_private, _ = new_keypair()
    _, admin_public = new_keypair()
    given = device_variables(
        device_tunnel_private_key=Secret(processes.run(["wg", "genkey"]).stdout.strip()),
        device_tunnel_psk=Secret(processes.run(["wg", "genpsk"]).stdout.strip()),
        device_tunnel_server_public_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        device_tunnel_server_endpoint="192.0.2.1:51999",
        device_access_host_key=host_private,
        device_access_authorized_keys=[admin_public],
        device_access_helper_keys=[new_keypair()[1] for _ in range(2)],
        device_access_helper_sources=["fd7a:115c:a1e0::/48"],
        device_access_authorities=[new_keypair()[1]],
    )
    private, public = new_keypair("owner")
    what = ("/run/support_tunnel /run/systemd/system", f"{NAMES.tunnel_unit} {NAMES.session_unit}")
    _, our_shell = make_device(driver, "device-ours")
    their_node, their_shell = make_device(driver, "device-theirs")
    with our_shell, their_shell:
        run(their_shell, f"echo '{public}' >>/root/.ssh/authorized_keys")
        ansible = Ansible(tmp_path, their_node.public_ips[0], "root", private, their_node.extra["host_key"])
        assert apply(our_shell, DEVICE_ROLES, given).changed
        assert ansible.play(DEVICE_ROLES, given) > 0
        assert seen(our_shell, *what) == seen(their_shell, *what)
        assert not apply(our_shell, DEVICE_ROLES, given).changed
        assert ansible.play(DEVICE_ROLES, given) == 0
