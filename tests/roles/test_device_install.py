"""What `inv install` puts on a device: as Ansible makes it, twice the same, and a unit that runs exactly the words it was given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.ssh_server import ServerShell
from support_tunnel.core.ssh_key import fingerprint, new_keypair
from support_tunnel.desired.device_units import BOOT_UNITS
from support_tunnel.flows.device.install import systemd_words, uninstall
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.roles.hosts import apply, make_device, run
from tests.roles.judge import Ansible
from tests.roles.test_oracle import seen

pytestmark = [pytest.mark.onebox, pytest.mark.oracle]

INSTALLED = ("device_settings", "device_boot")
HOSTILE = ["a b", "$HOME ${HOME} $$", "%h %% %n", "'\"\\", "; touch /root/no", "{{ 1 }} {id}"]
GIVEN = {
    "device_settings_api": "https://a.example:8443",
    "device_settings_api_fingerprint": "ab" * 32,
    "device_settings_name": "Till 3",
    "device_settings_proxy": "http://till@proxy.example:3128",
    "device_settings_proxy_password_file": "/etc/support_tunnel/proxy-password",
    "device_settings_org_ca": "/etc/support_tunnel/org-ca.pub",
    "device_settings_org_ca_keys": [f"{new_keypair()[1]} Example Ltd" for _ in range(2)],
    "device_settings_org_principal": "example-helpers",
    "device_settings_revoked": "/etc/support_tunnel/revoked",
    "device_settings_revoked_keys": [fingerprint(new_keypair()[1])],
    "device_settings_max_sessions": 5,
    "device_settings_tailscale": "/opt/tailscale",
    "device_settings_debug": True,
    "device_settings_scripts": [{"moment": "pre-up", "command": "/opt/up '{id}' --x"}],
    "device_boot_command": systemd_words(["/usr/bin/touch", "/root/cleaned"]),
    "device_boot_minutes": 30,
    "device_boot_connect_minutes": 5,
    "device_boot_connect_command": systemd_words(["/usr/bin/touch", "/root/connected"]),
}
WHAT = ("/etc/support_tunnel /etc/systemd/system", "support-tunnel-clean.timer support-tunnel-connect.timer")
SWEPT = {"sweep_timer_command": systemd_words(["/usr/bin/id", "-un"]), "sweep_timer_on_failure": "told.service"}


@pytest.fixture(scope="module")
def driver() -> Iterator[LocalNodeDriver]:
    with scratch_cloud() as made:
        yield made


def test_it_is_what_ansible_makes_of_it(driver: LocalNodeDriver, tmp_path: Path) -> None:
    private, public = new_keypair("owner")
    _, our_shell = make_device(driver, "device-ours")
    their_node, their_shell = make_device(driver, "device-theirs")
    with our_shell, their_shell:
        run(their_shell, f"echo '{public}' >>/root/.ssh/authorized_keys")
        ansible = Ansible(tmp_path, their_node.public_ips[0], "root", private, their_node.extra["host_key"])
        assert apply(our_shell, INSTALLED, GIVEN).changed
        assert ansible.play(INSTALLED, GIVEN) > 0
        assert seen(our_shell, *WHAT) == seen(their_shell, *WHAT)
        assert not apply(our_shell, INSTALLED, GIVEN).changed
        assert ansible.play(INSTALLED, GIVEN) == 0
        _timers_go_when_nobody_wants_them(our_shell, their_shell, ansible)

        # On the same two hosts, which cost more than the role: what sweeps clouds, by a timer.
        assert apply(our_shell, ("sweep_timer",), SWEPT).changed
        assert ansible.play(("sweep_timer",), SWEPT) > 0
        what = ("/etc/systemd/system", "support-tunnel-sweep.timer")
        accounts = "getent passwd support-tunnel-sweep; getent group support-tunnel-sweep"
        assert seen(our_shell, *what) == seen(their_shell, *what)
        assert run(our_shell, accounts).stdout == run(their_shell, accounts).stdout
        assert not apply(our_shell, ("sweep_timer",), SWEPT).changed
        assert ansible.play(("sweep_timer",), SWEPT) == 0
        _sweeps_as_itself(our_shell)


def _timers_go_when_nobody_wants_them(ours: ServerShell, theirs: ServerShell, ansible: Ansible) -> None:
    """One after the other, so that each goes without the other."""
    for minutes in ("device_boot_connect_minutes", "device_boot_minutes"):
        timer = "support-tunnel-connect.timer" if "connect" in minutes else "support-tunnel-clean.timer"
        without = {**GIVEN, minutes: 0}
        assert "active" in run(ours, f"systemctl is-active {timer}").stdout.split()
        assert apply(ours, INSTALLED, without).changed
        assert ansible.play(INSTALLED, without) > 0
        assert seen(ours, *WHAT) == seen(theirs, *WHAT)
        gone = run(ours, f"systemctl is-active {timer}; find /etc/systemd/system -name {timer}")
        assert gone.stdout.split() == ["inactive"]
        assert not apply(ours, INSTALLED, without).changed
        assert ansible.play(INSTALLED, without) == 0
        assert apply(ours, INSTALLED, GIVEN).changed
        assert ansible.play(INSTALLED, GIVEN) > 0
    assert seen(ours, *WHAT) == seen(theirs, *WHAT)


def _sweeps_as_itself(shell: ServerShell) -> None:
    """By its own account, in folders of its own; one that fails is told of, and seen."""

    def works(script: str) -> str:
        done = run(shell, f"set -eu\n{script}")
        assert done.status == 0, done.stderr
        return done.stdout

    sweep = "support-tunnel-sweep.service"
    works(f"systemctl start {sweep}")
    assert "support-tunnel-sweep" in works(f"journalctl --no-pager -o cat -u {sweep}").split()
    script = (
        'touch "$SUPPORT_TUNNEL_STATE/x" && mkdir "$SUPPORT_TUNNEL_RUNTIME" && [ "$HOME" = "$SUPPORT_TUNNEL_STATE" ]'
    )
    apply(shell, ("sweep_timer",), {**SWEPT, "sweep_timer_command": systemd_words(["/bin/sh", "-ec", script])})
    works(f"systemctl start {sweep}; [ -e /var/lib/support-tunnel-sweep/x ]")
    told = "[Service]\\nType=oneshot\\nExecStart=/usr/bin/touch /root/told\\n"
    works(f"printf '{told}' >/etc/systemd/system/told.service")
    apply(shell, ("sweep_timer",), {**SWEPT, "sweep_timer_command": "/bin/false"})
    works(
        f"""! systemctl start {sweep}
        systemctl is-failed {sweep}
        for _ in $(seq 100); do [ ! -e /root/told ] || exit 0; sleep 0.1; done
        exit 1"""
    )


def test_the_unit_runs_the_words_it_was_given_and_goes_without_a_trace(driver: LocalNodeDriver) -> None:
    _, shell = make_device(driver, "device-words")
    with shell:
        before = seen(shell, "/etc/systemd/system", "")
        words = [
            "/usr/bin/python3",
            "-c",
            "import sys, json; json.dump(sys.argv[1:], open('/root/words', 'w'))",
            *HOSTILE,
        ]
        apply(shell, INSTALLED, {**GIVEN, "device_boot_command": systemd_words(words)})
        run(shell, "systemctl start support-tunnel-clean.service")
        said = run(shell, "python3 -c 'import json; [print(word) for word in json.load(open(\"/root/words\"))]'").stdout
        assert said.splitlines() == HOSTILE
        assert set(uninstall(shell)) == set(BOOT_UNITS)
        assert uninstall(shell) == []
        assert seen(shell, "/etc/systemd/system", "") == before
