"""A real Headscale over https, and real Tailscale clients that join it, in a network of their own.

The clients are in a network namespace that leads to the server and nowhere else: a Tailscale client looks for captive portals and
port mappers of others by itself. Nothing outlives the `with`.
"""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support_tunnel.adapters import processes
from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.adapters.headscale.line import Trust
from support_tunnel.cli import paths
from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for
from tests.headscale.authority import Authority, private_authority

CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Wire:
    """A cable between this machine (`here`) and a namespace, with no way on."""

    namespace: str
    here: str


@contextmanager
def wire() -> Iterator[Wire]:
    mark = secrets.token_hex(3)
    number = secrets.randbelow(1 << 14) * 4
    ours, theirs = (f"198.18.{(number + i) >> 8}.{(number + i) & 255}" for i in (1, 2))  # RFC 2544: for tests, nobody's
    namespace, end = f"st-hs-{mark}", f"sthsv{mark}"
    try:
        for words in (
            ["netns", "add", namespace],
            ["link", "add", end, "type", "veth", "peer", "name", "wire0", "netns", namespace],
            ["address", "add", f"{ours}/30", "dev", end],
            ["link", "set", end, "up"],
            ["-n", namespace, "address", "add", f"{theirs}/30", "dev", "wire0"],
            ["-n", namespace, "link", "set", "wire0", "up"],
            ["-n", namespace, "link", "set", "lo", "up"],
        ):
            processes.run(["ip", *words])
        yield Wire(namespace, ours)
    finally:
        processes.run(["ip", "link", "delete", end], accept=None)
        processes.run(["ip", "netns", "delete", namespace], accept=None)


@dataclass(slots=True)
class RealHeadscale:
    """One server. Config: docs/headscale.md; database and keys in `folder`."""

    folder: Path
    address: str
    tls: Authority
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    @property
    def database(self) -> Path:
        return self.folder / "state" / "db.sqlite"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [built_tool(paths.REPOSITORY, "headscale"), "serve", "-c", self.folder / "config.yaml"],
                env=processes.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self.client(Secret("not-a-key"), patience=60).now()
        except CoordinatorError as error:
            raise AssertionError((self.folder / "log").read_text()[-2000:]) from error

    def kill(self) -> None:
        """End it as `kill -9` does, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None

    def command(self, *words: str) -> str:
        """Run Headscale's own program on the server's socket, as its operator."""
        program = built_tool(paths.REPOSITORY, "headscale")
        return processes.run([program, "-c", self.folder / "config.yaml", *words], timeout=60).stdout

    def api_key(self) -> Secret[str]:
        """The first key, which only the operator can make."""
        key: str = json.loads(self.command("apikeys", "create", "--expiration", "1h", "-o", "json"))
        return Secret(key)

    def client(self, key: Secret[str], **changes: Any) -> HeadscaleClient:
        chosen: dict[str, Any] = {"trust": Trust(authority=self.tls.authority), "patience": 10.0, "clock": CLOCK}
        return HeadscaleClient(self.url, key=key, **(chosen | changes))

    def config(self) -> dict[str, Any]:
        state = self.folder / "state"
        return {
            "server_url": self.url,
            "listen_addr": f"{self.address}:443",
            "metrics_listen_addr": "",
            "grpc_listen_addr": "127.0.0.1:0",
            "tls_cert_path": str(self.folder / "chain.pem"),
            "tls_key_path": str(self.folder / "key.pem"),
            "noise": {"private_key_path": str(state / "noise.key")},
            "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48", "allocation": "sequential"},
            "database": {"type": "sqlite", "sqlite": {"path": str(self.database), "write_ahead_log": True}},
            "derp": {
                "server": {
                    "enabled": True, "region_id": 999, "region_code": "hs", "region_name": "embedded",
                    "verify_clients": True, "stun_listen_addr": f"{self.address}:3478",
                    "private_key_path": str(state / "derp.key"), "automatically_add_embedded_derp_region": True,
                },
                "urls": [], "paths": [], "auto_update_enabled": False,
            },
            "disable_check_updates": True,
            "dns": {
                "magic_dns": True, "base_domain": "tail.internal", "override_local_dns": False,
                "nameservers": {"global": [], "split": {}},
            },
            "node": {"expiry": 0, "ephemeral": {"inactivity_timeout": "70s"}},
            "policy": {"mode": "database"},
            "unix_socket": str(self.folder / "socket"),
            "unix_socket_permission": "0700",
            "log": {"level": "info", "format": "text"},
        }  # fmt: skip


@contextmanager
def real_headscale(folder: Path, address: str) -> Iterator[RealHeadscale]:
    folder.mkdir(mode=0o700)
    (folder / "state").mkdir(mode=0o700)
    server = RealHeadscale(folder, address, private_authority(address))
    (folder / "config.yaml").write_text(json.dumps(server.config()))  # JSON is YAML
    (folder / "chain.pem").write_text(server.tls.chain)
    (folder / "authority.pem").write_text(server.tls.authority)
    (folder / "key.pem").write_text(server.tls.key)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@dataclass(slots=True)
class Members:
    """Tailscale clients of one server, in userspace mode, each with a state of its own in memory."""

    server: RealHeadscale
    namespace: str
    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def join(self, key: Secret[str], name: str, *, seconds: int = 30) -> None:
        """Start a client and let it join; returns when it is a member. Raises CoordinatorError `headscale.refused`."""
        home = self.folder / name
        home.mkdir(mode=0o700)
        key_file = home / "key"
        key_file.touch(mode=0o600)
        key_file.write_text(key.reveal())
        daemon = self._start(home)
        joined = self._tailscale(
            home,
            *("up", f"--login-server={self.server.url}", f"--auth-key=file:{key_file}", f"--hostname={name}"),
            *("--accept-dns=false", "--accept-routes=false", "--ssh=false", f"--timeout={seconds}s"),
        )
        if joined.returncode != 0:
            self._end(daemon)
            raise CoordinatorError("headscale.refused", (joined.stderr or joined.stdout).strip())

    def status(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._tailscale(self.folder / name, "status", "--json").stdout)
        return told

    def _start(self, home: Path) -> subprocess.Popen[bytes]:
        words: Sequence[str | Path] = [
            *("ip", "netns", "exec", self.namespace, built_tool(paths.REPOSITORY, "tailscaled")),
            *("--tun=userspace-networking", "--state=mem:", f"--statedir={home}", f"--socket={home}/socket"),
            *("--port=0", "--no-logs-no-support"),
        ]
        # Both: the first replaces the host's file of authorities, and beside it Go reads all of the host's folder, which is none here.
        # A tailscaled of a distribution trusts Let's Encrypt besides; ours is built without that (docs/decisions/0014).
        trust = {
            "SSL_CERT_FILE": str(self.server.folder / "authority.pem"),
            "SSL_CERT_DIR": str(home / "no-others"),
            "TS_LOGS_DIR": str(home),
        }
        with (home / "log").open("wb") as log:
            daemon = subprocess.Popen(
                words, env=processes.environment(trust), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.running.append(daemon)
        wait_for(lambda: (home / "socket").exists() or None, what="tailscaled", seconds=30, clock=CLOCK)
        return daemon

    def _tailscale(self, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
        program = built_tool(paths.REPOSITORY, "tailscale")
        return subprocess.run(
            [program, f"--socket={home}/socket", *words],
            env=processes.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    def _end(self, daemon: subprocess.Popen[bytes]) -> None:
        daemon.send_signal(signal.SIGKILL)  # a polite end would log out, and the server should still have the node
        daemon.wait(timeout=30)
        self.running.remove(daemon)

    def end(self) -> None:
        for daemon in list(self.running):
            self._end(daemon)


@contextmanager
def real_network(folder: Path) -> Iterator[tuple[RealHeadscale, Members]]:
    """A server and room for its members."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as ends:
        cable = ends.enter_context(wire())
        server = ends.enter_context(real_headscale(folder / "server", cable.here))
        members = Members(server, cable.namespace, folder / "members")
        members.folder.mkdir(mode=0o700)
        ends.callback(members.end)
        yield server, members
