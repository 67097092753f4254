"""A real sshd on a free port of 127.0.0.1, with a host key and a login key of its own (needs root, like sshd itself).

Must not touch the machine: it sees a /run of its own (sshd wants /run/sshd there), and everything else lies in `folder`.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for

__all__ = ["KeyPair", "LoopbackSshd", "free_port", "loopback_sshd"]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key as OpenSSH writes it."""

    private: Secret[str]
    public: str

    @classmethod
    def make(cls) -> KeyPair:
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        return cls(private=Secret(private), public=public)

    def private_bytes(self) -> Secret[bytes]:
        """The private half as a vault keeps it."""
        return Secret(self.private.reveal().encode())


@dataclass(frozen=True, slots=True)
class LoopbackSshd:
    port: int
    host: KeyPair
    login: KeyPair
    log: Path

    def sessions(self) -> int:
        """Count the channels that ran something, by sshd's own log."""
        return self.log.read_text().count("Starting session: ")


@contextmanager
def loopback_sshd(
    folder: Path,
    *options: str,
    port: int = 0,
    host: KeyPair | None = None,
    login: KeyPair | None = None,
    namespace: str = "",
) -> Iterator[LoopbackSshd]:
    """Run sshd until the block ends, then end it with all its sessions. `options` are lines of sshd_config.

    `namespace`: of the network whose 127.0.0.1 is meant; empty for the caller's own.
    """
    folder.mkdir(mode=0o700)
    server = LoopbackSshd(
        port=port or free_port(), host=host or KeyPair.make(), login=login or KeyPair.make(), log=folder / "sshd.log"
    )
    host_key, allowed, pid_file, config = (folder / name for name in ("host_key", "allowed", "sshd.pid", "sshd_config"))
    host_key.touch(mode=0o600)
    host_key.write_text(server.host.private.reveal())
    allowed.write_text(server.login.public + "\n")
    config.write_text("\n".join(_config(server, host_key, allowed, pid_file, options)) + "\n")
    try:
        processes.run(
            [
                *(("ip", "netns", "exec", namespace) if namespace else ()),
                *("unshare", "--mount", "sh", "-c"),
                'mount -t tmpfs tmpfs /run && mkdir -m 0755 /run/sshd && exec "$@"',
                *("sh", "/usr/sbin/sshd", "-f", config, "-E", server.log),
            ]
        )
        wait_for(lambda: _pid(pid_file), what="sshd", seconds=10, clock=SystemClock())
        yield server
    finally:
        if pid := _pid(pid_file):
            _end(pid)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _config(
    server: LoopbackSshd, host_key: Path, allowed: Path, pid_file: Path, options: Sequence[str]
) -> Iterator[str]:
    yield from options  # first: sshd takes the first value of a keyword
    yield f"Port {server.port}"
    yield "ListenAddress 127.0.0.1"
    yield f"HostKey {host_key}"
    yield f"AuthorizedKeysFile {allowed}"
    yield f"PidFile {pid_file}"
    yield "PermitRootLogin prohibit-password"
    yield "PasswordAuthentication no"
    yield "KbdInteractiveAuthentication no"
    yield "UsePAM no"
    yield "StrictModes no"  # the key lies under the sticky folder of all temporary files
    yield "LogLevel VERBOSE"


def _pid(pid_file: Path) -> int | None:
    with suppress(FileNotFoundError, ValueError):
        return int(pid_file.read_text())
    return None


def _end(pid: int) -> None:
    """Kill `pid` and all that descends from it: each session of sshd is a process group of its own."""
    # Stopped first, so that it can start no further session while its children are listed.
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        for child in _children(pid):
            _end(child)
        os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    listed = processes.run(["ps", "-o", "pid=", "--ppid", str(pid)], accept=(0, 1)).stdout
    return [int(word) for word in listed.split()]
