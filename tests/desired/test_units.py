"""Units on real hosts with a real systemd: each state, drift, the second run, undo, and Ansible beside us."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.snapshot import changes
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.desired import Report, compile_roles, read_facts, undo_report, undo_script
from support_tunnel.desired.facts import FACTS
from support_tunnel.testing.scratch_cloud import scratch_cloud, start
from tests.desired.bench import Bench, make_bench, statuses
from tests.desired.covered import UNIT, UNIT_HANDLERS, UNITS
from tests.desired.oracle import SshHost, apply_with_ansible

pytestmark = pytest.mark.onebox

FURNISH = f"""
for unit in theirs:8001 idle:8002 busy:8003; do
    printf '{UNIT.format(seconds="%s")}' "${{unit#*:}}" >/etc/systemd/system/${{unit%:*}}.service
done
systemctl daemon-reload && systemctl -q enable --now theirs.service busy.service
"""
STATE = """
for unit in ours theirs idle busy; do
    echo $unit $(systemctl is-active $unit) $(systemctl is-enabled $unit 2>/dev/null) \
        $(ps -o args= -p "$(systemctl show -p MainPID --value $unit)")
done
find /etc/systemd /run/reloaded /run/support_tunnel-handlers 2>/dev/null | sort
"""
BEFORE = [
    "ours inactive",
    "theirs active enabled /bin/sleep 8001",
    "idle inactive disabled",
    "busy active enabled /bin/sleep 8003",
]
AFTER = [
    "ours active enabled /bin/sleep 7001",
    "theirs active disabled /bin/sleep 7002",
    "idle active enabled /bin/sleep 8002",
    "busy inactive enabled",
]
TOLD = "\n".join(f"{{{{ ansible_facts.{name} }}}}" for name in FACTS)
TELL = yaml.safe_dump([{"copy": {"dest": "/root/facts", "content": TOLD, "mode": "0600"}}])
JOURNAL = "/run/support_tunnel-undo/units"


@dataclass(frozen=True, slots=True)
class Host:
    driver: LocalNodeDriver
    node: Any
    shell: ServerShell
    private: Secret[str]
    bench: Bench

    def run(self, script: str) -> str:
        done = self.shell.run_script(Secret(script), timeout=60)
        assert done.status == 0, done.stderr
        return done.stdout

    def state(self) -> list[str]:
        return self.run(STATE).splitlines()

    def apply(self, undo: str | None = None, *, check: bool = False) -> Report:
        plan = compile_roles(self.bench.base / "roles", ["demo"], {}, templates=self.bench.base, undo=undo, check=check)
        report = plan.report(self.shell.run_script(plan.script, timeout=60))
        report.raise_for_failure("node")
        return report


@pytest.fixture(scope="module")
def driver() -> Iterator[LocalNodeDriver]:
    with scratch_cloud() as made:
        yield made


def furnished(driver: LocalNodeDriver, name: str, folder: Path) -> Host:
    private, public = new_keypair("test")
    node = start(driver, name, auth=NodeAuthSSHKey(public))
    shell = connect_server(
        node.public_ips[0],
        user="root",
        private_key=private,
        host_key=node.extra["host_key"],
        timeout=60,
        allow_classical=True,  # Debian 12's sshd is older than post-quantum by default
    )
    bench = make_bench(folder / name, "dash")
    bench.role(UNITS, handlers__main=UNIT_HANDLERS)
    host = Host(driver, node, shell, private, bench)
    host.run(FURNISH)
    assert host.state()[:4] == BEFORE
    return host


@pytest.fixture
def host(driver: LocalNodeDriver, tmp_path: Path) -> Iterator[Host]:
    made = furnished(driver, "units", tmp_path)
    with made.shell:
        yield made
    driver.destroy_node(made.node)


def test_units_reach_their_states_and_drift_is_repaired(host: Host) -> None:
    checked = statuses(host.apply(check=True))
    assert host.state()[:4] == BEFORE
    assert statuses(host.apply()) == [*["changed"] * 6, "ok", *["changed"] * 2] == checked
    state = host.state()
    assert state[:4] == AFTER
    assert "/run/reloaded" in state
    host.run("rm /run/reloaded")
    assert statuses(host.apply()) == [*["ok"] * 7, *["skipped"] * 2]
    host.run("systemctl -q stop ours && systemctl -q disable idle && systemctl start busy")
    assert statuses(host.apply(check=True))[1:6] == ["changed", "ok", "ok", "changed", "changed"]
    assert statuses(host.apply())[1:6] == ["changed", "ok", "ok", "changed", "changed"]
    assert host.state() == [line for line in state if line != "/run/reloaded"]


def test_undo_puts_every_unit_back(host: Host) -> None:
    before, disk = host.state(), host.driver.ex_snapshot(host.node)
    host.apply(JOURNAL)
    assert host.state()[:4] == AFTER
    host.run("systemctl restart ours; rm -f /run/reloaded")
    undo_report(host.shell.run_script(undo_script(JOURNAL), timeout=60)).raise_for_failure("node")
    assert host.state() == before
    assert host.run("find /run -name 'support_tunnel*'") == ""
    assert changes(disk, host.driver.ex_snapshot(host.node), ignoring=["var/log"]) == []


@pytest.mark.oracle
def test_ansible_leaves_the_same_units(driver: LocalNodeDriver, tmp_path: Path) -> None:
    ours, theirs = furnished(driver, "ours", tmp_path), furnished(driver, "theirs", tmp_path)
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(theirs.private.reveal())
    address = theirs.node.public_ips[0]
    there = SshHost(address, 22, "root", key, f"{address} {theirs.node.extra['host_key']}")
    base = theirs.bench.base
    with ours.shell, theirs.shell:
        ours.apply()
        assert apply_with_ansible(base / "roles", ["demo"], {}, templates=base, host=there).changed == 8
        assert ours.state() == theirs.state()
        assert not ours.apply().changed
        assert apply_with_ansible(base / "roles", ["demo"], {}, templates=base, host=there).changed == 0

        theirs.bench.role(TELL, "facts")
        tell = functools.partial(compile_roles, base / "roles", ["facts"], {}, templates=base)
        plan = tell(facts=read_facts(theirs.shell))
        assert plan.report(theirs.shell.run_script(plan.script, timeout=60)).changed
        assert theirs.run("cat /root/facts").splitlines()[-1] == "systemd"
        told = apply_with_ansible(base / "roles", ["facts"], {}, templates=base, host=there, gather_facts=True)
        assert told.changed == 0, told.output
