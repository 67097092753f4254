"""connect_server against a real sshd: what it refuses, and what a script sees."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.ssh_server import SPARING, ServerShell, connect_server
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.loopback_sshd import KeyPair, LoopbackSshd, free_port, loopback_sshd

# Paramiko speaks mlkem768x25519 only; an sshd older than 9.9 (Debian 12) does not have it.
CLASSICAL_SSHD = "KexAlgorithms curve25519-sha256@libssh.org"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackSshd]:
    with loopback_sshd(tmp_path_factory.mktemp("server") / "sshd", CLASSICAL_SSHD) as server:
        yield server


def connect(server: LoopbackSshd, **changes: Any) -> ServerShell:
    arguments: dict[str, Any] = {
        "port": server.port,
        "user": "root",
        "private_key": server.login.private,
        "host_key": server.host.public,
        "timeout": 10,
        "allow_classical": True,
    }
    return connect_server("127.0.0.1", **(arguments | changes))


@pytest.fixture
def shell(sshd: LoopbackSshd) -> Iterator[ServerShell]:
    with connect(sshd) as connected:
        yield connected


def test_a_script_runs_in_one_channel_and_its_status_is_data(shell: ServerShell, sshd: LoopbackSshd) -> None:
    before = sshd.sessions()
    ended = shell.run_script(Secret("id -u; echo 'gr\u00fc\u00df' >&2; exit 7\n"), timeout=10)
    assert (ended.status, ended.stdout, ended.stderr) == (7, "0\n", "gr\u00fc\u00df\n")
    assert shell.channels == 1
    assert sshd.sessions() - before == 1


def test_a_long_script_arrives_whole(shell: ServerShell) -> None:
    lines = "".join(f": {number} {'x' * 80}\n" for number in range(20_000))
    ended = shell.run_script(Secret(lines + "echo end\n"), timeout=60)
    assert (ended.status, ended.stdout) == (0, "end\n")


def test_the_script_is_in_no_argument_list(shell: ServerShell) -> None:
    canary = secrets.token_hex(16)
    listed = shell.run_script(Secret(f": {canary}\ncat /proc/[0-9]*/cmdline | tr '\\0' ' '\n"), timeout=10)
    assert "sh -s" in listed.stdout
    assert canary not in listed.stdout


def test_a_script_that_takes_too_long_is_ended_on_the_host_with_its_children(
    shell: ServerShell, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! $$ > {pids}; wait\n"
    with pytest.raises(HostError) as caught:
        shell.run_script(Secret(script), timeout=1)
    assert caught.value.code == "host.timeout"
    for pid in pids.read_text().split():
        wait_for(partial(ended, int(pid)), what=f"the end of {pid}", seconds=10, clock=SystemClock())


def ended(pid: int) -> bool | None:
    """True once `pid` is gone, or only waits to be collected by the machine's init."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return True if state == "Z" else None


def test_exit_124_of_a_script_is_not_taken_for_a_timeout(shell: ServerShell) -> None:
    assert shell.run_script(Secret("exit 124\n"), timeout=30).status == 124


def test_a_connection_lost_in_the_middle_is_an_error_not_a_status(sshd: LoopbackSshd) -> None:
    with connect(sshd) as shell, pytest.raises(HostError) as caught:
        # $PPID is timeout(1), whose parent is the sshd of this session.
        shell.run_script(Secret("kill -9 $(ps -o ppid= -p $PPID)\n"), timeout=20)
    assert caught.value.code == "host.lost"


def test_another_host_key_is_refused_at_once(sshd: LoopbackSshd) -> None:
    before = sshd.log.read_text().count("Connection from")
    with pytest.raises(HostError) as caught:
        connect(sshd, host_key=KeyPair.make().public)
    assert caught.value.code == "ssh.hostkey"
    assert "somebody may be answering for the server" in caught.value.message
    assert sshd.log.read_text().count("Connection from") - before == 1


def test_a_host_key_of_another_kind_is_another_host_key(tmp_path: Path) -> None:
    """Whoever answers for the server may have no key of the kind that we know, and so nothing to compare."""
    other = tmp_path / "other"
    processes.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", other])
    options = (CLASSICAL_SSHD, f"HostKey {other}", "HostKeyAlgorithms ecdsa-sha2-nistp256")
    with loopback_sshd(tmp_path / "sshd", *options) as server:
        with pytest.raises(HostError) as caught:
            connect(server)
        assert caught.value.code == "ssh.hostkey"
        assert server.log.read_text().count("Connection from") == 1


def test_the_key_of_an_image_is_waited_out_at_the_first_contact_alone(tmp_path: Path) -> None:
    """Where cloud-init comes after sshd: the image's own host key answers, then ours does."""
    port, image, ours, login = free_port(), KeyPair.make(), KeyPair.make(), KeyPair.make()
    log = tmp_path / "image" / "sshd.log"
    with ExitStack() as before, ExitStack() as after:
        before.enter_context(loopback_sshd(log.parent, CLASSICAL_SSHD, port=port, host=image, login=login))

        class ChangesTheKey(SystemClock):
            def pause(self, seconds: float) -> None:
                if not (tmp_path / "ours").exists():
                    before.close()
                    late = loopback_sshd(tmp_path / "ours", CLASSICAL_SSHD, port=port, host=ours, login=login)
                    after.enter_context(late)

        arguments: dict[str, Any] = {
            "port": port, "user": "root", "private_key": login.private, "host_key": ours.public, "timeout": 30,
            "allow_classical": True, "clock": ChangesTheKey(),
        }  # fmt: skip
        with pytest.raises(HostError) as caught:
            connect_server("127.0.0.1", **arguments)
        assert caught.value.code == "ssh.hostkey"
        assert not (tmp_path / "ours").exists(), "at once"
        with connect_server("127.0.0.1", **arguments, first_contact=True) as shell:
            assert shell.run_script(Secret("echo ours\n"), timeout=10).stdout == "ours\n"
    told = log.read_text()
    assert "Connection from" in told
    assert "publickey" not in told, "the image's sshd was shown no login"


def test_a_key_that_stays_wrong_is_refused_when_the_first_contacts_time_is_over(sshd: LoopbackSshd) -> None:
    before, clock = sshd.log.read_text().count("Connection from"), ManualClock()
    with pytest.raises(HostError) as caught:
        connect(sshd, host_key=KeyPair.make().public, first_contact=True, timeout=9, clock=clock)
    assert caught.value.code == "ssh.hostkey"
    assert "somebody may be answering for the server" in caught.value.message
    assert clock.monotonic() >= 9
    assert 2 <= sshd.log.read_text().count("Connection from") - before <= 9 / SPARING + 2, (
        "not more often than sshd bears"
    )


def test_a_key_known_for_this_address_from_elsewhere_is_not_used(
    sshd: LoopbackSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 48: an address reused by the provider; the user's known_hosts would vouch for the old server."""
    known_hosts = tmp_path / ".ssh/known_hosts"
    known_hosts.parent.mkdir(mode=0o700)
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host.public}\n")
    (known_hosts.parent / "config").write_text("Host *\n  StrictHostKeyChecking no\n  Port 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(HostError) as caught:
        connect(sshd, host_key=KeyPair.make().public)
    assert caught.value.code == "ssh.hostkey"


def test_another_login_key_is_refused_at_once(sshd: LoopbackSshd) -> None:
    before = sshd.log.read_text().count("Connection from")
    with pytest.raises(HostError) as caught:
        connect(sshd, private_key=KeyPair.make().private)
    assert caught.value.code == "ssh.login"
    assert sshd.log.read_text().count("Connection from") - before == 1


def test_without_post_quantum_key_exchange_it_is_refused_naming_version_and_flag(sshd: LoopbackSshd) -> None:
    with pytest.raises(HostError) as caught:
        connect(sshd, allow_classical=False)
    assert caught.value.code == "ssh.kex"
    assert "OpenSSH_" in caught.value.message
    assert "--allow-classical-ssh" in caught.value.next_step


def test_a_key_exchange_that_cannot_be_known_is_not_claimed(shell: ServerShell) -> None:
    assert shell.kex == "unknown"


def test_nobody_there_is_unreachable_after_the_deadline() -> None:
    pair = KeyPair.make()
    with pytest.raises(HostError) as caught:
        connect_server(
            "127.0.0.1", port=free_port(), user="root", private_key=pair.private, host_key=pair.public, timeout=0.1
        )
    assert caught.value.code == "ssh.unreachable"


def test_it_waits_for_an_sshd_that_is_not_up_yet(tmp_path: Path) -> None:
    port, host, login = free_port(), KeyPair.make(), KeyPair.make()
    with ExitStack() as running:

        class StartsTheServer(SystemClock):
            def pause(self, seconds: float) -> None:
                if not (tmp_path / "sshd").exists():
                    late = loopback_sshd(tmp_path / "sshd", CLASSICAL_SSHD, port=port, host=host, login=login)
                    running.enter_context(late)

        shell = connect_server(
            "127.0.0.1",
            port=port,
            user="root",
            private_key=login.private,
            host_key=host.public,
            timeout=30,
            clock=StartsTheServer(),
            allow_classical=True,
        )
        with shell:
            assert shell.run_script(Secret("echo up\n"), timeout=10).stdout == "up\n"


def test_keys_that_are_no_keys_are_wrong_use_and_stay_secret(sshd: LoopbackSshd) -> None:
    canary = secrets.token_hex(16)
    with pytest.raises(UsageError) as caught:
        connect(sshd, private_key=Secret(canary))
    assert caught.value.code == "ssh.key"
    assert canary not in f"{caught.value!r} {caught.value.next_step}"


def test_closing_twice_is_fine(sshd: LoopbackSshd) -> None:
    shell = connect(sshd)
    shell.close()
    shell.close()
