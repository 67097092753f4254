"""A Headscale server and nodes that join it, made by the roles under test, and what those nodes really reach of each other."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from libcloud.compute.base import NodeAuthSSHKey

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.adapters.headscale.line import Trust
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.ssh_server import ServerShell, connect_server
from support_tunnel.cli import paths
from support_tunnel.core.secret import Secret
from support_tunnel.core.ssh_key import new_keypair
from support_tunnel.core.tailnet import Member
from support_tunnel.desired import Report
from support_tunnel.testing.scratch_cloud import start
from tests.headscale.authority import Authority, private_authority
from tests.roles.hosts import apply, run

SESSION_PORT, OFFERED, OTHER = 47022, 8888, 9999
PORTS = (22, SESSION_PORT, OFFERED, OTHER)
"""What every node listens on: sshd's port, the session's, one that may be offered, and one that never is."""


@dataclass(slots=True)
class Host:
    """A node of the local cloud with the programs in it; `role` of headscale or of tailscale_node comes later."""

    name: str
    address: str
    host_key: str
    private: Secret[str]
    shell: ServerShell

    def look(self, script: str) -> str:
        seen = run(self.shell, script)
        assert seen.status == 0, seen.stdout + seen.stderr
        return seen.stdout


@contextmanager
def make_host(driver: LocalNodeDriver, name: str) -> Iterator[Host]:
    private, public = new_keypair("operator")
    folders = sorted({built_tool(paths.REPOSITORY, program).parent for program in ("headscale", "tailscaled")})
    node = start(driver, name, auth=NodeAuthSSHKey(public), ex_bind_ro=folders)
    address, host_key = node.public_ips[0], node.extra["host_key"]
    with connect_server(
        address, user="root", private_key=private, host_key=host_key, timeout=60, allow_classical=True
    ) as shell:
        yield Host(name, address, host_key, private, shell)


@dataclass(slots=True)
class Server:
    host: Host
    tls: Authority
    report: Report | None = None

    @property
    def url(self) -> str:
        return f"https://{self.host.address}"

    def variables(self, **more: object) -> dict[str, object]:
        program = built_tool(paths.REPOSITORY, "headscale")
        return {
            "headscale_server_url": self.url,
            "headscale_sha256": sha256(program.read_bytes()).hexdigest(),
            "headscale_source": str(program),
            "headscale_certificate": self.tls.chain,
            "headscale_key": Secret(self.tls.key),
            **more,
        }

    def apply(self, **more: object) -> Report:
        return apply(self.host.shell, ("headscale",), self.variables(**more))

    def api_key(self) -> Secret[str]:
        return Secret(json.loads(self.host.look("headscale apikeys create --expiration 1h -o json")))

    def client(self) -> HeadscaleClient:
        return HeadscaleClient(
            self.url, key=self.api_key(), clock=SystemClock(), trust=Trust(authority=self.tls.authority), patience=10.0
        )


@contextmanager
def make_server(driver: LocalNodeDriver, name: str = "server") -> Iterator[Server]:
    """Give a host for a server, to which the role has not been applied yet."""
    with make_host(driver, name) as host:
        yield Server(host, private_authority(host.address))


@dataclass(slots=True)
class Node:
    """A member of a server's network, called after what it is in the story of the test."""

    host: Host
    short: str
    server: Server
    tags: tuple[str, ...]
    given: dict[str, object] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        return f"st-{self.short}-tunnel.service"

    def variables(self, **more: object) -> dict[str, object]:
        return {
            "session_short": self.short,
            "tailscale_node_programs": str(built_tool(paths.REPOSITORY, "tailscaled").parent),
            "tailscale_node_server_url": self.server.url,
            "tailscale_node_authority": self.server.tls.authority,
            **self.given,
            **more,
        }

    def apply(self, undo: str | None = None, **more: object) -> Report:
        return apply(self.host.shell, ("tailscale_node",), self.variables(**more), undo)

    def join(self, client: HeadscaleClient, undo: str | None = None, **more: object) -> Report:
        report = self.apply(undo, tailscale_node_key=client.create_join_key(600, tags=self.tags).text, **more)
        self.addresses = tuple(self.tailscale("ip").split())
        return report

    def tailscale(self, *words: str) -> str:
        return self.host.look(self._command(*words))

    def _command(self, *words: str) -> str:
        program = built_tool(paths.REPOSITORY, "tailscale")
        return shlex.join([str(program), f"--socket=/run/support_tunnel/{self.short}/node/socket", *words])

    def peers(self) -> dict[str, dict[str, Any]]:
        """Whom it sees, by name."""
        told = json.loads(self.tailscale("status", "--json"))
        return {peer["HostName"]: peer for peer in (told["Peer"] or {}).values()}

    def ping(self, other: Node) -> str:
        """The way to another node in Tailscale's own words, such as `via 10.0.0.2:41641 in 1ms`; why not, if there is none."""
        said = run(self.host.shell, self._command("ping", "--until-direct=false", "-c", "1", other.addresses[0]))
        return said.stdout + said.stderr


LISTEN = f"""
import socket, threading
for port in {PORTS[1:]}:
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        end = socket.socket(family)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        end.bind((host, port))
        end.listen(64)
        def serve(end=end):
            while True:
                end.accept()[0].close()
        threading.Thread(target=serve).start()
"""

CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def tried(way):
    try:
        socket.create_connection(way, timeout=5).close()
    except OSError:
        return None
    return way
ways = [tuple(way) for way in json.loads(sys.argv[1])]
with ThreadPoolExecutor(64) as pool:
    print(json.dumps([way for way in pool.map(tried, ways) if way]))
"""


def listen(node: Node) -> None:
    words = shlex.join(["systemd-run", "--quiet", "--unit=listening", "--collect", "python3", "-c", LISTEN])
    node.host.look(f"{words}; until ss -Hltn | grep -q ':{OTHER} '; do sleep 0.05; done")


def matrix(nodes: Mapping[str, Node], ports: Sequence[int] = PORTS) -> set[tuple[str, str, int]]:
    """Measure who reaches whom on which port. Each way is tried by both kinds of addresses, which have to agree."""
    owner = {address: name for name, node in nodes.items() for address in node.addresses}
    reached: dict[int, set[tuple[str, str, int]]] = {4: set(), 6: set()}

    def measure(name: str) -> list[tuple[str, int]]:
        ways = [(address, port) for address, who in owner.items() if who != name for port in ports]
        found: list[tuple[str, int]] = json.loads(
            nodes[name].host.look(shlex.join(["python3", "-c", CONNECT, json.dumps(ways)]))
        )
        return found

    with ThreadPoolExecutor(len(nodes)) as pool:
        for name, found in zip(nodes, pool.map(measure, nodes), strict=True):
            for address, port in found:
                reached[ip_address(address).version].add((name, owner[address], port))
    assert reached[4] == reached[6]
    return reached[4]


def members(client: HeadscaleClient) -> list[Member]:
    return [Member(ip_address(node.addresses[0]), frozenset(node.tags)) for node in client.nodes()]


@contextmanager
def make_nodes(driver: LocalNodeDriver, server: Server, tags: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Node]]:
    """Boot a host for each name; none has joined yet. All listen on `PORTS`."""
    with ExitStack() as ends:
        made = {}
        for number, (name, carried) in enumerate(tags.items()):
            host = ends.enter_context(make_host(driver, name))
            made[name] = Node(host, f"{number:08x}", server, tuple(carried), {"tailscale_node_name": name})
            listen(made[name])
        yield made
