"""A tunnel that is up: what it carries, and everything that it must not."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core.errors import HostError
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.roles.hosts import (
    DEVICE_ADDRESS,
    NAMES,
    PATIENCE,
    SERVER_ADDRESS,
    SESSION_PORT,
    WIREGUARD_PORT,
    Pair,
    apply,
    make_pair,
    run,
)

pytestmark = pytest.mark.onebox


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("session")
    with scratch_cloud() as driver, make_pair(driver, folder) as made:
        made.apply_device()
        wait_for(
            lambda: probes.read(made.device_shell, probes.handshake(NAMES), timeout=PATIENCE).get("handshake"),
            what="handshake",
            seconds=PATIENCE,
            clock=SystemClock(),
        )
        yield made


def test_a_second_run_changes_nothing(pair: Pair) -> None:
    for report in (apply(pair.server_shell, ("tunnel_server",), pair.server_given), pair.apply_device()):
        assert [outcome for outcome in report.outcomes if outcome.status == "changed"] == []


def test_a_changed_unit_takes_effect(pair: Pair) -> None:
    def changed_and_mtu(mtu: int) -> tuple[set[str], str]:
        report = pair.apply_device(device_tunnel_mtu=mtu)
        changed = {outcome.task for outcome in report.outcomes if outcome.status == "changed"}
        return changed, run(pair.device_shell, f"ip link show {NAMES.interface} | grep -o 'mtu [0-9]*'").stdout.strip()

    restarted = {"Unit that owns interface and packet filter", "Restart the tunnel"}
    assert changed_and_mtu(1380) == (restarted, "mtu 1380")
    assert changed_and_mtu(1420) == (restarted, "mtu 1420")
    assert pair.ssh("true").status == 0


def test_the_peer_arrives_without_a_restart(pair: Pair) -> None:
    changed = {outcome.task for outcome in pair.peer_report.outcomes if outcome.status == "changed"}
    assert changed == {"The one peer", "Reload WireGuard"}


def test_both_ends_hold_the_same_preshared_key(pair: Pair) -> None:
    ends = [(pair.server_shell, "st0"), (pair.device_shell, NAMES.interface)]
    keys = {run(shell, f"wg show {interface} preshared-keys | cut -f2").stdout for shell, interface in ends}
    assert len(keys) == 1
    assert "(none)" not in keys.pop()


def test_the_session_is_reached_by_a_post_quantum_key_exchange(pair: Pair) -> None:
    reached = pair.ssh("id -un", options=("-v",))
    assert reached.stdout.split() == [NAMES.user]
    assert "kex: algorithm: sntrup761x25519-sha512" in reached.stderr


def test_a_classical_key_exchange_is_refused_by_the_device(pair: Pair) -> None:
    assert "no matching key exchange" in pair.ssh("true", options=("-o", "KexAlgorithms=curve25519-sha256")).stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sudo -n true", "no new privileges"),
        ("su -c true </dev/null", "Authentication failure"),
        ("busctl list", "Failed to connect to bus"),
        ("systemd-run true", "Failed to connect to bus|Can't operate"),
        ("systemd-run --user true", "Failed to connect to bus"),
        ("bash -c 'echo >/dev/tcp/127.0.0.1/22'", "Connection refused"),
        ("bash -c 'echo >/dev/tcp/::1/22'", "Connection refused"),
        ("bash -c 'echo >/dev/udp/127.0.0.1/53'", "not permitted"),
        (f"bash -c 'echo >/dev/tcp/{SERVER_ADDRESS}/22'", "Connection refused"),
        ("touch /var/log/mark", "Read-only"),
        ("mount -t tmpfs none /mnt", "must be superuser|permission denied"),
        ("cp /bin/sh /tmp/sh && chmod u+s /tmp/sh && chown root /tmp/sh", "not permitted"),
        ("head -c 1 /proc/1/environ", "Permission denied|No such file"),
        ("sh -c ': < /proc/1/mem'", "Permission denied|cannot open|No such file"),
        ("sh -c 'echo x > /var/spool/cron/crontabs/root'", "Read-only|Permission denied|nonexistent"),
        ("dd if=/dev/zero of=/tmp/big bs=1M count=300", "No space left"),
        (f"ls /run/support_tunnel/{NAMES.short}/wireguard.conf", "No such file"),
        (f"cat /run/support_tunnel/{NAMES.short}/session/host_key", "Permission denied"),
    ],
)
def test_the_session_is_refused(pair: Pair, command: str, words: str) -> None:
    refused = pair.ssh(command)
    assert refused.status != 0
    assert any(word in refused.stderr for word in words.split("|")), refused.stderr


def test_the_session_cannot_reach_the_network_that_the_device_can(pair: Pair) -> None:
    connect = f"bash -c 'echo >/dev/tcp/{pair.server.address}/22'"
    assert run(pair.device_shell, connect).status == 0
    refused = pair.ssh(connect)
    assert "Connection refused" in refused.stderr


def test_the_session_sees_no_socket_of_the_device(pair: Pair) -> None:
    assert run(pair.device_shell, "test -S /run/dbus/system_bus_socket").status == 0
    # Asked of each file: find's own -type looks at what a mount covers.
    seen = pair.ssh("find /run 2>/dev/null | while read -r path; do [ ! -S $path ] || echo $path; done")
    assert seen.stdout.split() == []


NEIGHBOUR = """
import os, socket, time
listening = []
for name in ("/srv/neighbour.sock", chr(0) + "neighbour"):
    listening.append(socket.socket(socket.AF_UNIX))
    listening[-1].bind(name)
    listening[-1].listen(9)
os.chmod("/srv/neighbour.sock", 0o777)
time.sleep(600)
"""
"""A service that takes anybody: on a socket outside of /run, and on one that is no file at all."""

CONNECT = """
import ctypes, socket, struct, sys
tried = {}
for name in ("/srv/neighbour.sock", chr(0) + "neighbour"):
    try:
        socket.socket(socket.AF_UNIX).connect(name)
        tried[name] = "reached"
    except OSError as refused:
        tried[name] = refused.strerror
socket.socketpair()
ctypes.set_errno(0)
ring = ctypes.CDLL(None, use_errno=True).syscall(425, 8, ctypes.create_string_buffer(120))
print(*tried.values(), "ring" if ring >= 0 else ctypes.get_errno(), sep=";")
"""


@pytest.fixture(scope="module")
def neighbour(pair: Pair) -> Iterator[None]:
    started = shlex.join(["systemd-run", "--quiet", "--unit=neighbour", "--collect", "python3", "-c", NEIGHBOUR])
    run(pair.device_shell, f"{started}; until ss -Hlx | grep -q '@neighbour'; do sleep 0.05; done")
    run(pair.device_shell, "mkdir -m 1777 /srv/everybody")
    yield
    run(pair.device_shell, "systemctl stop neighbour; rm -r /srv/everybody /srv/neighbour.sock")


def test_the_session_reaches_no_unix_socket_wherever_it_is(pair: Pair, neighbour: None) -> None:
    connect = shlex.join(["python3", "-c", CONNECT])
    outside = run(pair.device_shell, f"setpriv --reuid=nobody --clear-groups {connect}").stdout
    assert outside.startswith("reached;reached;")
    unknown = "Address family not supported by protocol"
    assert pair.ssh(connect).stdout == f"{unknown};{unknown};{errno.EPERM}\n"


WRITABLE = "find / -path /proc -prune -o -type d -writable -print 2>/dev/null"


def test_the_session_writes_nowhere_but_into_its_own_memory(pair: Pair, neighbour: None) -> None:
    everybody = run(pair.device_shell, f"setpriv --reuid=nobody --clear-groups {WRITABLE}").stdout.split()
    assert "/srv/everybody" in everybody
    home = f"/run/support_tunnel/{NAMES.short}/home"
    private = {home, "/tmp", "/var/tmp", "/dev/shm"}  # noqa: S108 - named, not written
    assert set(pair.ssh(WRITABLE).stdout.split()) == private
    assert set(pair.ssh(f"stat -f -c %T {' '.join(sorted(private))}").stdout.split()) == {"tmpfs"}


FORKS = """
import os, time
children = 0
try:
    while children < 500:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        children += 1
except BlockingIOError:
    pass
print(children)
os.killpg(0, 9)
"""


def test_the_limits_of_a_session_hold(pair: Pair) -> None:
    assert pair.ssh("ulimit -u; ulimit -f; ulimit -c").stdout.split() == ["200", str(2**20), "0"]
    forked = pair.ssh(f"setsid {shlex.join(['python3', '-uc', FORKS])}").stdout
    assert 100 < int(forked) < 200
    assert pair.ssh("true").status == 0
    said = probes.read(pair.device_shell, probes.limits(NAMES), timeout=20)["limit"].split()
    assert {"processes", "file-size"} <= set(said) <= {"processes", "file-size", "memory", "tasks"}
    too_much = pair.ssh(r"for file in /dev/shm/a ~/b; do dd if=/dev/zero of=$file bs=1M count=100; rm $file; done")
    assert too_much.stderr.count("No space left") == 2


def test_forwarding_is_refused(pair: Pair) -> None:
    asked = pair.ssh(options=("-W", "127.0.0.1:22"))
    assert "administratively prohibited" in asked.stderr


def test_no_way_of_forwarding_is_open(pair: Pair) -> None:
    back = pair.ssh("true", options=("-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22"))
    assert (back.status, "remote port forwarding failed" in back.stderr) == (255, True)
    tunnel = pair.ssh("sleep 5", options=("-o", "ExitOnForwardFailure=yes", "-w", "any"))
    assert (tunnel.status, "Tunnel forwarding failed" in tunnel.stderr) == (255, True), tunnel.stderr
    seen = pair.ssh('echo "[$SSH_AUTH_SOCK][$DISPLAY]"', options=("-A", "-X"))
    assert seen.stdout == "[][]\n"


def test_files_are_not_copied_by_sftp(pair: Pair) -> None:
    assert pair.ssh("sftp", options=("-s",)).status != 0


def test_a_login_leaves_no_entry_in_the_devices_own_records(pair: Pair) -> None:
    count = "stat -c '%s' /var/log/wtmp /var/log/lastlog 2>/dev/null; :"
    before = run(pair.device_shell, count).stdout
    assert pair.ssh("true", options=("-tt",)).status == 0
    assert run(pair.device_shell, count).stdout == before


def test_the_session_port_is_closed_to_the_device_itself(pair: Pair) -> None:
    refused = run(pair.device_shell, f"bash -c 'echo >/dev/tcp/{DEVICE_ADDRESS}/{SESSION_PORT}'")
    assert "Connection refused" in refused.stderr


def test_nothing_else_listens_on_the_server(pair: Pair) -> None:
    listed = run(pair.server_shell, "ss -H -tuln").stdout.splitlines()
    ports = {(words[0], words[4].rpartition(":")[2]) for words in (line.split() for line in listed)}
    assert ports == {("tcp", "22"), ("udp", str(WIREGUARD_PORT))}


def test_the_server_forwards_to_the_session_only(pair: Pair) -> None:
    config = pair.folder / "config"
    for target in ("127.0.0.1:22", f"[{DEVICE_ADDRESS}]:22", f"{pair.device.public_ips[0]}:22"):
        asked = pair.ssh(options=("-o", f"ProxyCommand=ssh -F {config} -W {target} support-tunnel-server"))
        assert asked.status == 255
        assert "administratively prohibited" in asked.stderr


def test_the_metadata_service_is_closed_to_all_but_root(pair: Pair) -> None:
    run(pair.server_shell, "ip route replace 169.254.169.254 dev eth0")
    asked = run(pair.server_shell, "sudo -u nobody bash -c 'echo >/dev/tcp/169.254.169.254/80'")
    assert "Connection refused" in asked.stderr


def test_a_hostile_device_reaches_nothing_on_the_server(pair: Pair) -> None:
    run(
        pair.device_shell,
        f"nft flush chain inet {NAMES.interface} output; nft flush chain inet {NAMES.interface} input",
    )
    try:
        for port in (22, 53):
            connect = f"timeout 2 bash -c 'echo >/dev/tcp/{SERVER_ADDRESS}/{port}'"
            assert run(pair.device_shell, connect).status == 124
    finally:
        run(pair.device_shell, f"nft -f /run/support_tunnel/{NAMES.short}/tunnel.nft")
        run(pair.device_shell, f"nft -f /run/support_tunnel/{NAMES.short}/session/account.nft")


def test_the_first_host_key_is_gone(pair: Pair) -> None:
    with pytest.raises(HostError) as refused:
        pair.server.connect(pair.server.first_key)
    assert refused.value.code == "ssh.hostkey"
    assert run(pair.server_shell, "ls /etc/ssh/ssh_host_ed25519_key").status != 0


def test_no_secret_of_the_tunnel_is_readable_by_others(pair: Pair) -> None:
    loose = run(pair.device_shell, f"find /run/support_tunnel/{NAMES.short} -type f -perm /077").stdout.split()
    assert loose == [f"/run/support_tunnel/{NAMES.short}/session/authorized_keys"]
    assert run(pair.server_shell, "find /etc/wireguard -perm /077").stdout == ""
