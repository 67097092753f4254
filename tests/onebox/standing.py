"""A standing Headscale on a node beside a device of the stage, a helper's machine with a plain Tailscale, and somebody else's tunnel."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support_tunnel.adapters import processes
from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.own_node import UserspaceNode
from support_tunnel.cli import paths
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.core.st1.code import Code
from support_tunnel.core.tailnet import Passage, label
from support_tunnel.core.tailnet.stay import Stay
from support_tunnel.core.waiting import wait_for
from support_tunnel.flows.tailnet import open_passage
from tests.onebox.crew import PATIENCE, Crew
from tests.onebox.played_by_headscale import HEADSCALE
from tests.roles.tailnet import CONNECT, LISTEN, OTHER, PORTS, Host, Node, Server, make_host, make_server
from tests.roles.test_invitation import INSTALLED

CLOCK = SystemClock()
TICKET, NAME = "ST-2025-001", "Hana"
FOLDER = "/root/handed"
NEIGHBOUR = Passage(label("ST-2025-002"), "0badbeef", (label("Bob"),), PORTS)
"""Of another admin, whose tunnel nothing here may touch."""


@dataclass(slots=True)
class Tunnel:
    code: Code
    events: dict[str, Any]
    """What `fab tunnel.create` said, by event."""

    @property
    def id(self) -> TunnelId:
        return self.code.tunnel

    @property
    def names(self) -> Names:
        return Names(self.id)

    @property
    def lines(self) -> str:
        lines: str = self.events["helper"]["lines"]
        return lines

    @property
    def login(self) -> str:
        return next(line for line in self.lines.splitlines() if line.startswith("ssh "))

    @property
    def address(self) -> str:
        return next(word for word in shlex.split(self.login) if "@" in word).partition("@")[2]


@dataclass(slots=True)
class Standing:
    people: Crew
    server: Server
    client: HeadscaleClient
    helper: Host
    neighbour: Node
    public: Path
    """The helper's own key, as they gave it to the admin."""

    def create(self, *words: str) -> Tunnel:
        ask = self.people.tool("request-and-connect-tunnel", "--json", "--ttl", "10", *HEADSCALE)
        with processes.streaming([*self.people.on.device.ssh, ask]) as owner:
            said = owner.line()
            assert said, owner.end(timeout=PATIENCE).stderr
            code = Code.parse(json.loads(said)["preshared_key"])
            given = ("--json", "-p", "-", "--ticket", TICKET, "--helper", f"{NAME}={self.public}", *words)
            answered = self.people.fab("tunnel.create", *given, stdin=code.text().reveal())
            assert answered.status == 0, answered.stderr
            assert owner.end(timeout=PATIENCE).status == 0
        told = [json.loads(line) for line in answered.stdout.splitlines()]
        return Tunnel(code, {one["event"]: one for one in told})

    def come(self, tunnel: Tunnel) -> None:
        """The helper gets what is theirs and pastes all lines but the login."""
        for file in map(Path, tunnel.events["helper"]["files"]):
            self.helper.look(
                f"umask 077; mkdir -p {FOLDER}; printf %s {shlex.quote(file.read_text())} >{FOLDER}/{file.name}"
            )
        before = tunnel.lines.partition("# Afterwards")[0].replace(tunnel.login, "")
        self.helper.look(f"cd {FOLDER}\nset -e\n{before}")

    def leave(self, tunnel: Tunnel) -> None:
        self.helper.look(f"cd {FOLDER}\n{tunnel.lines.partition('# Afterwards')[2].partition(chr(10))[2]}true")

    def stream(self, tunnel: Tunnel) -> None:
        """The helper logs in by the line as it is and has the device's clock shown, ten times a second, into a file."""
        types = "while :; do date +%s.%N; sleep 0.1; done"
        script = f"cd {FOLDER}; {{ echo {shlex.quote(types)}; sleep 900; }} | {tunnel.login} >/run/stream 2>&1"
        self.helper.look(
            "systemctl stop stream 2>/dev/null; rm -f /run/stream; "
            + shlex.join(["systemd-run", "--quiet", "--unit=stream", "--collect", "sh", "-c", script])
        )
        wait_for(lambda: self.last() > 0 or None, what="the helper's stream", seconds=PATIENCE, clock=CLOCK)

    def last(self) -> float:
        """The device's clock when the last of the stream arrived; 0 before."""
        told = self.helper.look("grep -E '^[0-9]+[.][0-9]+$' /run/stream | tail -n 1; true").split()
        return float(told[0]) if told else 0.0

    def stopped(self) -> float:
        """Wait until nothing has arrived for three seconds; when the last did."""
        seen: list[tuple[float, float]] = []

        def still() -> float | None:
            last, now = self.last(), CLOCK.monotonic()
            if not seen or seen[0][0] != last:
                seen[:] = [(last, now)]
            return last if now - seen[0][1] > 3 else None

        return wait_for(still, what="the end of the helper's stream", seconds=PATIENCE, clock=CLOCK)

    def reached_from(self, host: Host, addresses: Sequence[str]) -> set[tuple[str, int]]:
        """Where a connection is taken, of all `PORTS` of these addresses."""
        ways = [(address, port) for address in addresses for port in PORTS]
        found = json.loads(host.look(shlex.join(["python3", "-c", CONNECT, json.dumps(ways)])))
        return {(address, port) for address, port in found}

    def own_node(self) -> UserspaceNode:
        programs = str(built_tool(paths.REPOSITORY, "tailscaled").parent)
        return UserspaceNode(Path(self.people.on.settings.runtime) / "nodes", programs, CLOCK)

    def of(self, tunnel: Tunnel) -> list[str]:
        """Everything of this tunnel that the server still has."""
        stored = self.client.policy()
        return [
            *(f"user {user.name}" for user in self.client.users() if tunnel.names.short in user.name),
            *(f"node {node.name}" for node in self.client.nodes() if node.tags != (NEIGHBOUR.device_tag,)),
            *(["rule"] if stored is not None and tunnel.names.short in stored.text else []),
        ]

    def neighbours(self) -> bool:
        """Whether the other admin's tunnel is all there."""
        stored = self.client.policy()
        return (
            any(NEIGHBOUR.device in user.name for user in self.client.users())
            and any(node.tags == (NEIGHBOUR.device_tag,) for node in self.client.nodes())
            and stored is not None
            and NEIGHBOUR.device in stored.text
        )

    def elsewhere(self, *words: str) -> Any:
        """`fab` of somebody who has the server's key and nothing else of this admin: another state, another vault."""
        folder = self.people.on.folder / "elsewhere"
        folder.mkdir(mode=0o700, exist_ok=True)
        changes = {"state": str(folder / "state"), "runtime": str(folder / "runtime")}
        inventory = folder / "inventory.yml"
        settings = yaml.safe_load(self.people.inventory.read_text())["support_tunnel"]
        inventory.write_text(yaml.safe_dump({"support_tunnel": settings | changes}))
        return dataclasses.replace(self.people, inventory=inventory).fab(*words)


@contextmanager
def standing(people: Crew) -> Iterator[Standing]:
    driver = LocalNodeDriver(people.on.cloud_root)
    with (
        make_server(driver) as server,
        make_host(driver, "helper") as helper,
        make_host(driver, "neighbour") as other,
    ):
        server.apply()
        folder = people.on.folder
        private, public = new_keypair("hana")
        for name, content in (
            ("headscale-key", server.api_key().reveal()),
            ("authority", server.tls.authority),
            ("hana.pub", public),
        ):
            (folder / name).touch(mode=0o600)
            (folder / name).write_text(content)
        settings = yaml.safe_load(people.inventory.read_text())["support_tunnel"] | {
            "headscale_server": server.url,
            "headscale_authority": f"file:{folder / 'authority'}",
            "headscale_key": f"file:{folder / 'headscale-key'}",
        }
        people.inventory.write_text(yaml.safe_dump({"support_tunnel": settings}))
        # The owner's policy names the helper's key as well: whoever is not named there is asked about.
        people.device(f"sed -i '/^signer/a helpers = [\"{public}\"]' /etc/support_tunnel/consent-policy.toml")
        helper.look(INSTALLED.replace("PROGRAMS", str(built_tool(paths.REPOSITORY, "tailscaled").parent)))
        helper.look(f"umask 077; mkdir -p /root/.ssh; printf %s {shlex.quote(private.reveal())} >/root/.ssh/id_ed25519")
        listening = shlex.join(["systemd-run", "--quiet", "--unit=listening", "--collect", "python3", "-c", LISTEN])
        for look in (people.device, other.look, helper.look):
            # Not the session's own port on the device: that one is its sshd's.
            ports = PORTS[2:] if look == people.device else PORTS[1:]
            look(
                f"{listening.replace(str(PORTS[1:]), str(ports))}; until ss -Hltn | grep -q ':{OTHER} '; do sleep 0.05; done"
            )
        with server.client() as client:
            client.create_user(
                Stay(NEIGHBOUR.device, NEIGHBOUR.ticket, "0" * 8, int(client.now().timestamp()) + 3600).user
            )
            open_passage(client, CLOCK, NEIGHBOUR)
            walls = {"tailscale_node_ports": list(PORTS), "tailscale_node_opens": True}
            neighbour = Node(other, NEIGHBOUR.device, server, (NEIGHBOUR.device_tag,), walls)
            neighbour.join(client)
            yield Standing(people, server, client, helper, neighbour, folder / "hana.pub")
