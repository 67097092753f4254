"""A whole session over a server that exists already and that others keep: it is found by `--cloud static`, and left as it was.

The last one is over a server that has no IPv4.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import pytest
import yaml

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.snapshot import Snapshot, changes
from support_tunnel.adapters.ssh_server import ServerShell
from support_tunnel.core.names import Names
from support_tunnel.core.st1.code import Code
from support_tunnel.core.waiting import wait_for
from tests.onebox.crew import PATIENCE, Crew, crew
from tests.onebox.killing import Kill
from tests.onebox.test_admin_verbs import answered_by
from tests.roles.hosts import LOGIN, Server, make_server, run
from tests.roles.test_guest import NOT_A_CHANGE, STATE

pytestmark = pytest.mark.onebox

KEPT = ["server: kept"]
"""What stays of every tunnel: the machine itself."""
OF_THE_LOGIN = ("home/tunnel-admin/.cache",)
"""Made by the first login there, whoever's it is."""


@dataclass(frozen=True)
class Place:
    crew: Crew
    driver: LocalNodeDriver
    server: Server

    def tree(self) -> Snapshot:
        return self.driver.ex_snapshot(self.server.node)

    def state(self) -> str:
        with self.server.connect(self.server.first_key) as shell:
            return run(shell, STATE).stdout


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """The server lets in one who may become root, and nobody else."""
    with crew(consent=True) as made:
        driver = LocalNodeDriver(made.on.cloud_root)
        server = make_server(driver, "kept")
        key = made.on.folder / "keeper"
        key.write_text(server.login_private.reveal().strip())  # as an editor leaves it
        key.chmod(0o600)
        told = yaml.safe_load(made.inventory.read_text())
        told["support_tunnel"]["clouds"]["static"] = {
            "host": server.address, "host_key": server.first_key, "login_key": f"file:{key}", "user": LOGIN,
        }  # fmt: skip
        # Of which nothing here makes use: such a server is made no Headscale server.
        told["support_tunnel"] |= {
            "headscale": "/opt/headscale",
            "headscale_sha256": "ab" * 32,
            "tailscale": "/opt/tailscale",
        }
        made.inventory.write_text(yaml.safe_dump(told))
        yield Place(made, driver, server)


def test_a_session_over_it_and_then_it_is_as_it_was(place: Place) -> None:
    on = place.crew
    tree, state = place.tree(), place.state()
    live = on.connect("--ttl", "5", answering=("--cloud", "static"))
    assert live.admin["server"] == place.server.address
    ran = on.fab("command", live.tunnel[:8], "id -un; hostname")
    assert ran.stdout.split() == [live.names.user, "device"], ran.stderr
    assert place.state() != state
    assert changes(tree, place.tree(), ignoring=(*NOT_A_CHANGE, *OF_THE_LOGIN)) == []

    # Each verb that comes later knows the cloud by the ledger, and what is there by the server itself.
    cost = json.loads(on.fab("cost", "--json").stdout)
    assert [(one["cloud"], one["hourly"]) for one in cost["running"]] == [("static", 0.0)]
    checked = on.fab("doctor", "--json")
    assert '"cloud static"' in checked.stdout, checked.stderr
    swept = json.loads(on.fab("sweep", "--json").stdout)
    assert (swept["ended"], swept["failed"], len(swept["kept"])) == ([], [], 1)

    stopped = on.fab("stop", live.tunnel[:8])
    assert stopped.status == 0, stopped.stderr
    on.closed()
    assert place.state() == state
    assert changes(tree, place.tree(), ignoring=(*NOT_A_CHANGE, *OF_THE_LOGIN)) == []
    assert json.loads(on.fab("list", "--json").stdout) == []


def second(place: Place) -> Crew:
    """Another admin's machine, which has the inventory alone."""
    on = place.crew
    elsewhere = on.on.folder / "elsewhere"
    told = yaml.safe_load(on.inventory.read_text())
    told["support_tunnel"] |= {"state": str(elsewhere / "state"), "runtime": str(elsewhere / "runtime")}
    on.inventory.with_name("second.yml").write_text(yaml.safe_dump(told))
    return Crew(on.on, on.inventory.with_name("second.yml"))


def is_over(place: Place, short: str) -> None:
    aged = f'sed -i \'s/"st-expires": "[0-9]*"/"st-expires": "1"/\' /run/support_tunnel_server/{short}/tags'
    with place.server.connect(place.server.first_key) as shell:
        assert run(shell, aged).status == 0


def test_a_second_machine_with_the_inventory_alone_ends_what_is_over(place: Place) -> None:
    """The ledger and the keys of the one that made it are lost."""
    on, state = place.crew, place.state()
    live = on.connect("--ttl", "5", "--transport", "auto", "--pq", "prefer", answering=("--cloud", "static"))
    assert live.admin["transport"] == "wireguard"
    assert "made no Headscale server. Answering by WireGuard alone." in live.said
    assert json.loads(second(place).fab("sweep", "--json").stdout)["ended"] == [], "it is not over"
    is_over(place, live.tunnel[:8])
    swept = json.loads(second(place).fab("sweep", "--json").stdout)
    assert (swept["ended"], swept["failed"]) == ([f"server {live.names.server} (static)"], [])
    assert place.state() == state
    on.fab("stop", live.tunnel[:8])
    on.closed()


HOLD = r"""
cat >/usr/local/bin/systemd-run <<'PROGRAM'
#!/bin/sh
echo $$ >/run/claiming
while [ -e /run/claiming ]; do sleep 0.1; done
exec /usr/bin/systemd-run "$@"
PROGRAM
chmod 755 /usr/local/bin/systemd-run
"""
"""Holds a claim where its place is there, and what ends that by itself is not yet."""
GO_ON = "rm /run/claiming"
DIES_TOO = 'kill -KILL -- "-$(cut -d" " -f5 "/proc/$(cat /run/claiming)/stat")"; rm /run/claiming'
"""As when the machine loses all of its logins at that moment."""


@contextmanager
def killed_in_its_claim(place: Place) -> Iterator[tuple[Code, ServerShell]]:
    """`kill -9` of the tool while the machine is at its claim; afterwards the owner stops waiting by themselves."""
    on = place.crew
    with place.server.connect(place.server.first_key) as shell:
        assert run(shell, HOLD).status == 0
        try:
            words = [*on.on.device.ssh, on.tool("request-and-connect-tunnel", "--json", "--ttl", "5")]
            with processes.streaming(words) as owner:
                code = Code.parse(json.loads(owner.line())["preshared_key"])
                tool = on.fab_words("create-tunnel-server", "--json", "-p", "-", "--cloud", "static")
                with subprocess.Popen(tool, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=processes.environment()) as fab:
                    assert fab.stdin is not None
                    fab.stdin.write(code.text().reveal().encode() + b"\n")
                    fab.stdin.flush()
                    wait_for(
                        lambda: run(shell, "test -s /run/claiming").status == 0 or None,
                        what="its claim", seconds=PATIENCE, clock=SystemClock(),
                    )  # fmt: skip
                    fab.kill()
                    fab.communicate(timeout=PATIENCE)
                assert fab.returncode == -signal.SIGKILL
                yield code, shell
                assert owner.end(timeout=PATIENCE).status != 0
        finally:
            run(shell, "rm -f /usr/local/bin/systemd-run /run/claiming")


def places(shell: ServerShell) -> list[str]:
    return run(shell, "ls /run/support_tunnel_server 2>/dev/null").stdout.split()


def test_a_claim_whose_tool_is_killed_goes_on_and_the_same_machine_ends_it(place: Place) -> None:
    state = place.state()
    with killed_in_its_claim(place) as (code, shell):
        assert run(shell, GO_ON).status == 0
        timer = f"systemctl is-active support-tunnel-{code.tunnel[:8]}-end.timer"
        wait_for(
            lambda: run(shell, timer).status == 0 or None,
            what="the end of the claim",
            seconds=PATIENCE,
            clock=SystemClock(),
        )
        assert places(shell) == [code.tunnel[:8]]
        swept = json.loads(place.crew.fab("sweep", "--json").stdout)
        assert (swept["ended"], swept["failed"]) == ([f"tunnel {code.tunnel[:8]}"], [])
    assert place.state() == state
    assert place.crew.left(code.tunnel) == KEPT


def test_a_claim_that_dies_before_its_timer_is_ended_by_a_second_machine(place: Place) -> None:
    state = place.state()
    with killed_in_its_claim(place) as (code, shell):
        assert run(shell, DIES_TOO).status == 0
        assert places(shell) == [code.tunnel[:8]]
        assert json.loads(second(place).fab("sweep", "--json").stdout)["ended"] == [], "it is not over"
        is_over(place, code.tunnel[:8])
        swept = json.loads(second(place).fab("sweep", "--json").stdout)
        assert (swept["ended"], swept["failed"]) == ([f"server {Names(code.tunnel).server} (static)"], [])
        assert places(shell) == []
        assert json.loads(place.crew.fab("sweep", "--json").stdout)["failed"] == []
    assert place.state() == state
    assert place.crew.left(code.tunnel) == KEPT


def test_an_answer_that_was_broken_off_goes_on_without_the_cloud_being_named_again(
    place: Place, tmp_path: Path
) -> None:
    on, state = place.crew, place.state()
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    with answered_by(on, Kill(), undisturbed, "--cloud", "static") as (code, ended):
        assert ended.status == 0, ended.stderr
    assert on.fab("stop", code.tunnel[:8]).status == 0
    on.closed()
    posts = undisturbed.read_text().split().index("mailbox.post") + 1
    with answered_by(on, Kill(posts, "after"), killed, "--cloud", "static") as (code, ended):
        assert ended.status == -signal.SIGKILL
        again = on.fab("resume", "--json", code.tunnel[:8])
        assert again.status == 0, again.stderr
        assert json.loads(again.stdout.splitlines()[-1])["server"] == place.server.address
    ran = on.fab("command", code.tunnel[:8], "id -un; hostname")
    assert ran.stdout.split() == [Names(code.tunnel).user, "device"], ran.stderr
    assert on.fab("stop", code.tunnel[:8]).status == 0
    on.closed()
    assert place.state() == state
    assert on.left(code.tunnel) == KEPT


BY_IPV6 = {"bridge": "fd00:77::1", "device": "fd00:77::2", "kept": "fd00:77::3"}


def test_a_server_without_ipv4_does(place: Place) -> None:
    """The device reaches it by IPv6, and so does the admin, by each hop; the API is elsewhere and stays as it is."""
    on, cloud = place.crew, LocalNodeDriver(place.crew.on.cloud_root)
    processes.run(["ip", "address", "add", f"{BY_IPV6['bridge']}/64", "dev", on.on.bridge, "nodad"])
    for node, name in ((on.on.device.id, "device"), (place.server.node.id, "kept")):
        processes.run(["ip", "-n", node, "address", "add", f"{BY_IPV6[name]}/64", "dev", "eth0", "nodad"])
    processes.run(["ip", "-n", place.server.node.id, "-4", "address", "flush", "dev", "eth0"])
    assert "inet " not in processes.run(["ip", "-n", place.server.node.id, "address", "show", "dev", "eth0"]).stdout
    told = yaml.safe_load(on.inventory.read_text())
    told["support_tunnel"]["clouds"]["static"]["host"] = BY_IPV6["kept"]
    on.inventory.write_text(yaml.safe_dump(told))

    tree = cloud.ex_snapshot(place.server.node)
    live = on.connect("--ttl", "5", answering=("--cloud", "static"))
    assert (live.admin["server"], live.admin["transport"]) == (BY_IPV6["kept"], "wireguard")
    ran = on.fab("command", live.tunnel[:8], "id -un; hostname")
    assert ran.stdout.split() == [live.names.user, "device"], ran.stderr
    endpoint = on.device(f"wg show {live.names.interface} endpoints").split()[1]
    assert endpoint.startswith(f"[{BY_IPV6['kept']}]:")
    stopped = on.fab("stop", live.tunnel[:8])
    assert stopped.status == 0, stopped.stderr
    on.closed()
    assert json.loads(on.fab("list", "--json").stdout) == []
    assert changes(tree, cloud.ex_snapshot(place.server.node), ignoring=(*NOT_A_CHANGE, *OF_THE_LOGIN)) == []
