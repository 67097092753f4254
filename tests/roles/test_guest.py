"""A tunnel as a guest on a machine that others keep: afterwards it is as it was, however the tunnel ended.

One real host, with a service, a packet filter and a login of its keeper's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.cloud_examination import examine_cloud
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.snapshot import Snapshot, changes
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.core.errors import CloudError, HostError
from support_tunnel.core.ports import Completed, OpenPort, ServerSpec
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import compile_roles, guest, probes
from support_tunnel.testing.scratch_cloud import ready, scratch_cloud, start
from tests.roles.hosts import DEVICE_ADDRESS, HOUR, PATIENCE, ROLES, SERVER_ADDRESS, TEMPLATES, run, soon

pytestmark = pytest.mark.onebox

STATE = r"""
echo accounts; getent passwd; getent group
echo links; ip -o link show | cut -d: -f2; ip -6 address show scope global; wg show interfaces
echo tables; nft list ruleset
echo listening; ss -Hlun; ss -Hltn
echo units; systemctl list-units --all --plain --no-legend 'support*' 'wg*'; systemctl list-unit-files --no-legend 'support*'
echo sshd; systemctl show -p MainPID -p NRestarts ssh.service; sshd -T | sha256sum
echo folders; find /run/support_tunnel_server /run/systemd/system /run/systemd/transient /run/wireguard 2>/dev/null | grep -e support -e wire
"""
KEEPERS = r"""
cat >/etc/nftables.conf <<'RULES'
table inet keeper {
  chain input { type filter hook input priority filter; policy accept; tcp dport 8080 drop; }
}
RULES
nft -f /etc/nftables.conf
mkdir -p /etc/wireguard && echo "the keeper's own" >/etc/wireguard/wg0.conf
"""
NOT_A_CHANGE = ("var/log", "var/lib/systemd", "root/.ssh", "run")


@dataclass(frozen=True)
class Kept:
    """The machine, and how its keeper sees it."""

    driver: LocalNodeDriver
    node: Any
    shell: ServerShell
    settings: dict[str, str]
    tree: Snapshot
    state: str

    def cloud(self, **more: str) -> LibcloudCloud:
        """As a process that has nothing but the inventory."""
        return LibcloudCloud(
            "static",
            {**self.settings, **more},
            SystemClock(),
            secret=lambda source, _: Secret(Path(source.removeprefix("file:")).read_text()),
            besides={"guests": guest},
        )

    def changed(self) -> list[str]:
        after = run(self.shell, STATE).stdout
        lines = set(after.splitlines()) ^ set(self.state.splitlines())
        return [*changes(self.tree, self.driver.ex_snapshot(self.node), ignoring=NOT_A_CHANGE), *sorted(lines)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    private, public = new_keypair("keeper")
    file = tmp_path_factory.mktemp("keeper") / "key"
    file.write_text(private.reveal())
    file.chmod(0o600)
    with scratch_cloud() as driver:
        node = start(driver, "kept", "debian-13", auth=NodeAuthSSHKey(public))
        settings = {"host": node.public_ips[0], "host_key": node.extra["host_key"], "login_key": f"file:{file}"}
        with connect_server(
            node.public_ips[0], user="root", private_key=private, host_key=node.extra["host_key"], timeout=PATIENCE
        ) as shell:
            assert run(shell, KEEPERS).status == 0
            yield Kept(driver, node, shell, settings, driver.ex_snapshot(node), run(shell, STATE).stdout)


def spec(number: int = 0, *, port: int = 31_000, lifetime: int = 3_600) -> ServerSpec:
    tunnel = f"{number:08x}" + secrets.token_hex(12)
    ends = soon(HOUR)
    return ServerSpec(
        name=f"support-tunnel-{tunnel[:8]}",
        user_data="",
        expires=ends,
        tags={"st-tunnel": tunnel, "st-owner": "Ünal@host", "st-expires": str(int(ends.timestamp()))},
        open_ports=(OpenPort("tcp", 22), OpenPort("udp", port)),
        lifetime=lifetime,
    )


def role(wanted: ServerSpec, **more: object) -> Any:
    variables = {
        "tunnel_server_short": wanted.tags["st-tunnel"][:8],
        "tunnel_server_address": SERVER_ADDRESS,
        "tunnel_server_device_address": DEVICE_ADDRESS,
        "tunnel_server_session_port": 47_022,
        "tunnel_server_port": wanted.open_ports[1].port,
        **more,
    }
    undo = guest.journal(wanted.tags["st-tunnel"][:8])
    return compile_roles(ROLES, ("tunnel_guest",), variables, templates=TEMPLATES, undo=undo)


def apply(kept: Kept, wanted: ServerSpec, **more: object) -> None:
    plan = role(wanted, **more)
    plan.report(kept.shell.run_script(plan.script, timeout=PATIENCE)).raise_for_failure("the machine")


def test_a_machine_is_as_it_was_once_its_tunnel_has_ended(kept: Kept) -> None:
    wanted = spec(1)
    made = kept.cloud().create(wanted)
    assert made.login is not None
    apply(kept, wanted)
    peer = {"tunnel_server_peer_public_key": "A" * 43 + "=", "tunnel_server_peer_psk": "A" * 43 + "="}
    apply(kept, wanted, **peer)
    short = wanted.tags["st-tunnel"][:8]
    key = probes.read(kept.shell, guest.guest_keys(short), timeout=PATIENCE)["wireguard"]
    shown = run(kept.shell, f"wg show st-{short} public-key; wg show st-{short} listen-port; wg show st-{short} peers")
    assert shown.stdout.split() == [key, "31000", "A" * 43 + "="]
    # Of the machine itself nothing has changed even now: its tree, its own rules, its sshd.
    assert changes(kept.tree, kept.driver.ex_snapshot(kept.node), ignoring=NOT_A_CHANGE) == []
    now = run(kept.shell, STATE).stdout.splitlines()
    assert set(kept.state.splitlines()) - set(now) == set()

    # Another machine finds it by its tags, and ends it.
    (seen,) = kept.cloud().servers()
    assert (seen.id, seen.name) == (made.id, wanted.name)
    assert wanted.tags.items() <= seen.tags.items()
    kept.cloud().destroy(seen.id)
    assert kept.cloud().servers() == []
    assert kept.changed() == []
    kept.cloud().destroy(made.id)  # gone already is fine


def killed_at(text: str, step: int, *, half_way: bool) -> Secret[str]:
    """The script that dies once this step is recorded and not yet done, or done and nobody has heard of it."""
    pieces = re.split(r"(?m)^(?=st_step )", text)
    where, line = (step, "st_fix() {\n") if half_way else (step + 1, "\n")
    begun, found, rest = pieces[where].rpartition(line) if half_way else pieces[where].partition(line)
    assert found
    pieces[where] = f"{begun}{line}kill -KILL $$\n{rest}"
    return Secret("".join(pieces))


def test_so_it_is_wherever_the_role_is_killed(kept: Kept) -> None:
    tasks = 5
    for step, half_way in [*((step, False) for step in range(tasks)), *((step, True) for step in (0, 1, 2, 4))]:
        wanted = spec(2)
        plan = role(wanted)
        assert plan.steps[tasks].task == "Restart the tunnel", "the handlers come after these"
        kept.cloud().create(wanted)
        with pytest.raises(HostError, match="was killed"):
            kept.shell.run_script(killed_at(plan.script.reveal(), step, half_way=half_way), timeout=PATIENCE)
        (seen,) = kept.cloud().servers()
        kept.cloud().destroy(seen.id)
        assert kept.changed() == [], f"killed {'in' if half_way else 'after'} step {step}"


def test_and_when_nobody_comes_back_its_own_timer_ends_it(kept: Kept) -> None:
    wanted = spec(3, lifetime=5)
    kept.cloud().create(wanted)
    apply(kept, wanted)
    wait_for(lambda: kept.cloud().servers() == [] or None, what="its end", seconds=PATIENCE, clock=SystemClock())
    wait_for(lambda: kept.changed() == [] or None, what="its traces' end", seconds=PATIENCE, clock=SystemClock())


def test_the_wall_clock_ends_it_too(kept: Kept) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    kept.cloud().create(replace(spec(4), expires=past))
    wait_for(lambda: kept.changed() == [] or None, what="its end", seconds=PATIENCE, clock=SystemClock())


def test_what_does_not_fit_is_refused_and_leaves_nothing(kept: Kept) -> None:
    first = spec(5)
    kept.cloud().create(first)
    apply(kept, first)
    refusals = {
        "cloud.port": (kept.cloud(), spec(6)),
        "cloud.full": (kept.cloud(tunnels="1"), spec(6, port=31_001)),
        "cloud.taken": (kept.cloud(), replace(first, open_ports=(OpenPort("udp", 31_001),))),
        "cloud.wireguard-only": (kept.cloud(), replace(spec(6), open_ports=(OpenPort("tcp", 443),))),
    }
    for code, (cloud, wanted) in refusals.items():
        with pytest.raises(CloudError) as refused:
            cloud.create(wanted)
        assert refused.value.code == code
        assert [server.id for server in cloud.servers()] == [first.tags["st-tunnel"]]

    second = spec(7, port=31_002)
    kept.cloud().create(second)
    apply(kept, second)
    kept.cloud().destroy(first.tags["st-tunnel"])
    short = second.tags["st-tunnel"][:8]
    assert run(kept.shell, f"wg show st-{short} listen-port").stdout.strip() == "31002", (
        "its neighbour's end is not its own"
    )
    kept.cloud().destroy(second.tags["st-tunnel"])
    assert kept.changed() == []


@dataclass(frozen=True)
class Overtaken:
    """A shell on which another tunnel's claim is through in the moment before this one's folder gets its name."""

    shell: ServerShell
    other: str

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        text, naming = script.reveal(), 'mv -T -- "$new"'
        assert text.count(naming) == 1
        return self.shell.run_script(Secret(text.replace(naming, f"{self.other}\n{naming}")), timeout=timeout)


def test_of_two_that_ask_at_the_same_moment_for_one_port_no_two_get_it(kept: Kept) -> None:
    wanted, other = spec(9), f"{guest.FOLDER}/0000000a"
    claimed = f"mkdir {other} && echo 31000 >{other}/ports && echo '{{}}' >{other}/tags"
    with pytest.raises(CloudError) as refused:
        guest.claim(
            cast(Any, Overtaken(kept.shell, claimed)), wanted.tags, [31_000],
            expires=int(wanted.expires.timestamp()), lifetime=3_600, most=5,
        )  # fmt: skip
    assert refused.value.code == "cloud.port"
    assert run(kept.shell, f"ls {guest.FOLDER}").stdout.split() == ["0000000a"]
    run(kept.shell, f"rm -r {guest.FOLDER}")
    assert kept.changed() == []


def test_the_doctor_names_what_would_keep_a_tunnel_from_it(kept: Kept) -> None:
    def failed(**more: str) -> list[str]:
        checks = list(examine_cloud(kept.cloud(**more), user_data=3_000, now=SystemClock().now))
        assert all(one.fix for one in checks if one.state == "fail")
        return [one.said for one in checks if one.state == "fail"]

    assert failed() == []
    kept.cloud().create(first := spec(11))
    assert failed() == []
    assert failed(tunnels="1") == ["the server holds 1 tunnels already, as many as it may"]
    kept.cloud().destroy(first.tags["st-tunnel"])
    where = run(kept.shell, "command -v wg").stdout.strip()
    run(kept.shell, f"mv {where} {where}.away")
    try:
        assert failed() == ["the server lacks wg"]
    finally:
        run(kept.shell, f"mv {where}.away {where}")
    assert kept.changed() == []


def test_another_machine_in_its_place_is_not_logged_in_to(kept: Kept) -> None:
    other = " ".join(new_keypair("another")[1].split()[:2])
    with pytest.raises(HostError) as refused:
        kept.cloud(host_key=other).servers()
    assert refused.value.code == "ssh.hostkey"


def test_a_reboot_ends_all_of_it(kept: Kept) -> None:
    """The last of this file: the keeper's own rules are not loaded at boot. A node's own network, with its rules, outlives its boot; a machine's does not."""
    wanted = spec(8)
    kept.cloud().create(wanted)
    apply(kept, wanted)
    kept.driver.reboot_node(kept.node)
    ready(kept.driver, kept.node)
    assert kept.cloud().servers() == []
    assert changes(kept.tree, kept.driver.ex_snapshot(kept.node), ignoring=(*NOT_A_CHANGE, "tmp", "var/tmp")) == []
    key = Secret(Path(kept.settings["login_key"].removeprefix("file:")).read_text())
    with connect_server(
        kept.settings["host"], user="root", private_key=key, host_key=kept.settings["host_key"], timeout=PATIENCE
    ) as shell:
        left = run(shell, "find /run -name '*support*'; ip -o link show type wireguard; ls /sys/class/net")
    assert "st-" not in left.stdout
    assert "support" not in left.stdout
