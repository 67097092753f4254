"""Two hops by the system's ssh over two real sshds: only the pinned keys, only post-quantum, reasons told apart."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import support_tunnel
from support_tunnel.adapters import processes
from support_tunnel.adapters.door_ssh import SshDoor
from support_tunnel.adapters.ssh_device import Files, Hop, key_exchanges, known_hosts, ssh_config
from support_tunnel.adapters.ssh_failure import failure_of
from support_tunnel.core.errors import HostError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Hops, ThroughServer
from support_tunnel.testing.loopback_sshd import KeyPair, LoopbackSshd, free_port, loopback_sshd
from support_tunnel.testing.records import FolderVault

TUNNEL = TunnelId("0123456789abcdef" * 2)


NAMES = {"server": "tunnel server", "device": "device"}


@dataclasses.dataclass(frozen=True)
class TwoHops:
    vault: FolderVault
    server: LoopbackSshd
    device: LoopbackSshd

    def hops(self) -> Hops:
        return Hops(
            ThroughServer("127.0.0.1", "root", self.server.host.public),
            device_address="127.0.0.1",
            device_port=self.device.port,
            device_user="root",
            device_host_key=self.device.host.public,
        )

    def door(self, *, allow_classical: bool = False, **changes: Any) -> SshDoor:
        """A prepared door; `changes` put something wrong into one of the two hops."""
        door = SshDoor(self.vault, allow_classical=allow_classical, server_port=self.server.port)
        self.vault.put(TUNNEL, "login-key", self.server.login.private_bytes())
        self.vault.put(TUNNEL, "session-key", self.device.login.private_bytes())
        door.prepare(TUNNEL, dataclasses.replace(self.hops(), **changes))
        return door


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHops]:
    folder = tmp_path_factory.mktemp("hops")
    with loopback_sshd(folder / "server") as server, loopback_sshd(folder / "device") as device:
        yield TwoHops(FolderVault(folder / "vault"), server, device)


def test_a_command_runs_on_the_device_by_a_post_quantum_exchange(two: TwoHops) -> None:
    ended = two.door().command(TUNNEL, "echo out; echo err >&2; exit 3", timeout=30)
    assert (ended.status, ended.stdout, ended.stderr) == (3, "out\n", "err\n")
    assert "Starting session: command for root" in two.device.log.read_text()
    assert all("mlkem" in name or "sntrup" in name for name in key_exchanges(allow_classical=False))


def test_255_from_the_device_is_a_status(two: TwoHops) -> None:
    ended = two.door().command(TUNNEL, "echo Permission denied '(publickey)'. >&2; exit 255", timeout=30)
    assert ended.status == 255


IN_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
CONNECT = """
from pathlib import Path
from support_tunnel.adapters.door_ssh import SshDoor
from support_tunnel.testing.records import FolderVault
raise SystemExit(SshDoor(FolderVault(Path({vault!r}))).terminal({tunnel!r}))
"""


def test_connect_gives_the_terminal_to_the_device(two: TwoHops) -> None:
    """In a process with a terminal of its own, as a person has."""
    two.door()
    program = CONNECT.format(vault=str(Path(two.vault.path(TUNNEL, "x")).parent.parent), tunnel=TUNNEL)
    ended = processes.run(
        [sys.executable, "-c", IN_A_TERMINAL, sys.executable, "-c", program],
        stdin=b"test -t 0 && echo it is 'a' terminal; exit 5\n",
        env={"PYTHONPATH": str(Path(support_tunnel.__path__[0]).parent)},
        accept=None,
    )
    assert ended.status == 5, ended
    assert "it is a terminal" in ended.stdout


@pytest.mark.parametrize("which", ["server", "device"])
def test_another_host_key_on_either_hop_is_refused(two: TwoHops, which: str) -> None:
    wrong = KeyPair.make().public
    server = ThroughServer("127.0.0.1", "root", wrong)
    door = two.door(through=server) if which == "server" else two.door(device_host_key=wrong)
    with pytest.raises(HostError, match=f"the {NAMES[which]} shows another host key.*somebody may be") as caught:
        door.command(TUNNEL, "true", timeout=30)
    assert caught.value.code == "ssh.hostkey"


@pytest.mark.parametrize(("which", "name"), [("server", "login-key"), ("device", "session-key")])
def test_another_login_key_on_either_hop_is_told_apart(two: TwoHops, which: str, name: str) -> None:
    door = two.door()
    two.vault.put(TUNNEL, name, KeyPair.make().private_bytes())
    with pytest.raises(HostError, match=f"the {NAMES[which]} did not let") as caught:
        door.command(TUNNEL, "true", timeout=30)
    assert caught.value.code == "ssh.login"


def test_a_server_that_does_not_answer_is_unreachable(two: TwoHops) -> None:
    gone = dataclasses.replace(two, server=dataclasses.replace(two.server, port=free_port()))
    with pytest.raises(HostError, match="the tunnel server does not answer") as caught:
        gone.door().command(TUNNEL, "true", timeout=30)
    assert caught.value.code == "ssh.unreachable"


def test_a_device_that_the_server_cannot_reach_is_unreachable(two: TwoHops) -> None:
    with pytest.raises(HostError, match="cannot reach the device") as caught:
        two.door(device_port=free_port()).command(TUNNEL, "true", timeout=30)
    assert caught.value.code == "ssh.unreachable"


@pytest.mark.parametrize("which", ["server", "device"])
def test_a_hop_without_post_quantum_key_exchange_needs_the_typed_permission(
    two: TwoHops, which: str, tmp_path: Path
) -> None:
    with loopback_sshd(tmp_path / "old", "KexAlgorithms curve25519-sha256") as old:
        hops = dataclasses.replace(two, server=old) if which == "server" else dataclasses.replace(two, device=old)
        with pytest.raises(HostError, match=f"the {NAMES[which]} has no post-quantum") as caught:
            hops.door().command(TUNNEL, "true", timeout=30)
        assert caught.value.code == "ssh.kex"
        assert hops.door(allow_classical=True).command(TUNNEL, "echo old", timeout=30).stdout == "old\n"


def test_before_it_is_prepared_there_is_no_door(two: TwoHops, tmp_path: Path) -> None:
    with pytest.raises(WrongState) as caught:
        SshDoor(FolderVault(tmp_path / "vault")).command(TUNNEL, "true", timeout=None)
    assert caught.value.code == "tunnel.door"


def test_a_hostile_address_from_the_device_is_refused_before_ssh_sees_it(two: TwoHops) -> None:
    with pytest.raises(UsageError) as caught:
        two.door(device_address="fd00::1\n  ProxyCommand id")
    assert caught.value.code == "ssh.value"


def test_a_connection_lost_in_the_middle_is_not_a_status(two: TwoHops) -> None:
    with pytest.raises(HostError) as caught:
        two.door().command(TUNNEL, "kill -9 $PPID", timeout=30)
    assert caught.value.code == "host.lost"


def test_no_secret_and_no_foreign_setting_in_the_configuration(two: TwoHops) -> None:
    two.door()
    effective = processes.run(["ssh", "-F", two.vault.path(TUNNEL, "ssh-config"), "-G", "support-tunnel-device"]).stdout
    settings = dict(line.partition(" ")[::2] for line in effective.splitlines())
    assert settings["stricthostkeychecking"] == "true"
    assert settings["globalknownhostsfile"] == "/dev/null"
    assert settings["hostkeyalgorithms"] == "ssh-ed25519"
    assert settings["forwardagent"] == settings["forwardx11"] == settings["permitlocalcommand"] == "no"
    assert settings["identityagent"] == "none"
    assert settings["batchmode"] == settings["identitiesonly"] == "yes"
    for name in ("ssh-config", "ssh-known-hosts", "ssh-server-log", "ssh-device-log"):
        path = Path(two.vault.path(TUNNEL, name))
        assert path.stat().st_mode & 0o777 == 0o600
        assert "PRIVATE KEY" not in path.read_text()


HOSTILE = [
    "",
    "-oProxyCommand=id",
    "a b",
    "a\nHost *",
    "a\tb",
    "$(id)",
    "`id`",
    "a;id",
    "%h",
    '"',
    "'",
    "a" * 300,
    "\x1b[2J",
]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (field, value)
        for field in ("address", "user", "host_key", "identity_file", "certificate_file")
        for value in HOSTILE
        if (field, value) != ("certificate_file", "")  # no certificate is fine
    ],
)
def test_hostile_values_never_reach_a_configuration(field: str, value: str) -> None:
    good = {"address": "192.0.2.1", "user": "root", "host_key": KeyPair.make().public, "identity_file": "/run/k"}
    with pytest.raises(ValueError, match="not fit"):
        Hop(**{**good, field: value})  # type: ignore[arg-type]  # port is never among them


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        Hop("192.0.2.1", "root", KeyPair.make().public, "/run/k", port=port)


def test_addresses_of_both_families_and_names_are_fit() -> None:
    for address in ("192.0.2.1", "2001:db8::1", "fd00::2", "::1", "host.example"):
        Hop(address, "st01234567", KeyPair.make().public, "/run/k")


def test_the_configuration_is_the_same_for_the_same_values() -> None:
    key = "ssh-ed25519 " + "A" * 68
    server = Hop("192.0.2.1", "root", key, "/run/v/server_key")
    device = Hop("fd00::2", "st01234567", key, "/run/v/device_key", port=2222, certificate_file="/run/v/cert")
    text = ssh_config(
        first=server, device=device, files=Files("/run/v/c", "/run/v/k", "/run/v/s", "/run/v/d"), kex=["a", "b"]
    )
    assert text.splitlines()[:15] == [
        "Host support-tunnel-server",
        "  HostName 192.0.2.1",
        "  Port 22",
        "  User root",
        "  HostKeyAlias support-tunnel-server",
        "  IdentityFile /run/v/server_key",
        "Host support-tunnel-device",
        "  HostName fd00::2",
        "  Port 2222",
        "  User st01234567",
        "  HostKeyAlias support-tunnel-device",
        "  IdentityFile /run/v/device_key",
        "  CertificateFile /run/v/cert",
        "  ProxyCommand ssh -F /run/v/c -E /run/v/s -W [%h]:%p support-tunnel-server",
        "Host *",
    ]
    assert "  KexAlgorithms a,b" in text


def test_an_own_node_is_the_first_hop_and_no_server_is_named() -> None:
    device = Hop("fd7a:115c:a1e0::2", "st01234567", "ssh-ed25519 " + "A" * 68, "/run/v/device_key", port=47022)
    files = Files("/run/v/c", "/run/v/k", "/run/v/s", "/run/v/d")
    words = ("/opt/tailscale", "--socket=/run/n/socket", "nc")
    text = ssh_config(first=words, device=device, files=files, kex=["a"])
    through = """sh -c 'exec "$@" 2>>/run/v/s' sh /opt/tailscale --socket=/run/n/socket nc %h %p"""
    assert f"  ProxyCommand {through}\nHost *\n" in text
    assert "support-tunnel-server" not in text + known_hosts(first=words, device=device)
    for hostile in set(HOSTILE) - {"-oProxyCommand=id"}:  # a word that our own program gets; ssh reads no options there
        with pytest.raises(ValueError, match="not fit"):
            ssh_config(first=("/opt/tailscale", hostile), device=device, files=files, kex=["a"])


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('Dial("fd7a:115c:a1e0::2", 47022): unexpected HTTP response: 502 Bad Gateway, dial failure: x', "ssh.unreachable"),
        ("failed to connect to local tailscaled; it doesn't appear to be running (sudo systemctl start tailscaled ?)", "node.gone"),
        ("failed to connect to local tailscaled (which appears to be running as tailscaled, pid 7). Got error: x", "node.gone"),
        ("Failed to connect to local Tailscale daemon for /localapi/v0/status; not running? Error: x", "node.gone"),
    ],
)  # fmt: skip
def test_what_an_own_node_says_is_told_apart(said: str, code: str) -> None:
    failure = failure_of(f"{said}\n", hop="tunnel server")
    assert failure is not None
    assert failure.code == code
    assert "server" not in failure.message


def test_words_of_the_other_side_never_reach_the_reader() -> None:
    canary = secrets.token_hex(8)
    failure = failure_of(f"root@{canary}: Permission denied (publickey).", hop="device")
    assert failure is not None
    assert canary not in f"{failure.message} {failure.next_step}"


def test_a_log_without_a_failure_is_none() -> None:
    assert failure_of("Connection to support-tunnel-device closed.\n", hop="device") is None
