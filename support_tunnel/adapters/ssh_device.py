"""The configuration with which the system's `ssh` goes through the tunnel server, or this machine's own node, to the device (2.10, 2.11).

It is the only one ssh reads, and it is made of checked values: what the device sent may not become a line, an option or
a command. Must not hold a key; it names files in the vault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from support_tunnel.adapters import processes
from support_tunnel.core.errors import HostError

__all__ = ["DEVICE", "SERVER", "Files", "Hop", "key_exchanges", "known_hosts", "ssh_config"]

POST_QUANTUM = ("mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com")
CLASSICAL = ("curve25519-sha256", "curve25519-sha256@libssh.org")
SERVER, DEVICE = "support-tunnel-server", "support-tunnel-device"

# One word each: nothing that could end a line, start an option, be expanded by ssh (%) or by the shell of ProxyCommand.
ADDRESS = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:-]{0,253}|::[0-9A-Fa-f:.]{1,43}")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
FILE = re.compile(r"/[0-9A-Za-z_./-]{1,200}")
KEY = re.compile(r"ssh-ed25519 [0-9A-Za-z+/]{68}")
KEX = re.compile(r"[0-9a-z@.-]{1,64}")
WORD = re.compile(r"[0-9A-Za-z_./=-]{1,250}")


@dataclass(frozen=True, slots=True)
class Hop:
    """One ssh server on the way. `host_key` is `ssh-ed25519 AAAA...`; the files lie in the vault."""

    address: str
    user: str
    host_key: str
    identity_file: str
    port: int = 22
    certificate_file: str = ""

    def __post_init__(self) -> None:
        _checked(ADDRESS, self.address)
        _checked(USER, self.user)
        _checked(KEY, self.host_key)
        _checked(FILE, self.identity_file)
        _checked(FILE, self.certificate_file or self.identity_file)
        if not 1 <= self.port <= 65535:
            raise ValueError(f"not a port: {self.port}")


@dataclass(frozen=True, slots=True)
class Files:
    """Where the parts of one tunnel's configuration lie: in the vault, so they end with the session."""

    config: str
    known_hosts: str
    server_log: str
    device_log: str

    def __post_init__(self) -> None:
        for path in (self.config, self.known_hosts, self.server_log, self.device_log):
            _checked(FILE, path)


def ssh_config(*, first: Hop | tuple[str, ...], device: Hop, files: Files, kex: Iterable[str]) -> str:
    """Build the whole ssh_config(5) of one tunnel; ssh reads this and nothing else.

    `first` is the tunnel server, or a program and its arguments that lead to the address and port after them. What either has to say
    goes into a log of its own: on stderr it would stand between the words of the device. (So no ProxyJump.)
    """
    kex = [_checked(KEX, name) for name in kex]
    if isinstance(first, Hop):
        through = f"ssh -F {files.config} -E {files.server_log} -W [%h]:%p {SERVER}"
    else:
        # The user's own shell reads this line first, and not every one knows `2>>`.
        words = " ".join(_checked(WORD, word) for word in first)
        through = f"""sh -c 'exec "$@" 2>>{files.server_log}' sh {words} %h %p"""
    lines = [
        *(_host(SERVER, first) if isinstance(first, Hop) else ()),
        *_host(DEVICE, device),
        f"  ProxyCommand {through}",
        "Host *",
        f"  UserKnownHostsFile {files.known_hosts}",
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  UpdateHostKeys no",
        "  VerifyHostKeyDNS no",
        "  HostKeyAlgorithms ssh-ed25519",
        f"  KexAlgorithms {','.join(kex)}",
        "  IdentitiesOnly yes",
        "  IdentityAgent none",
        "  PreferredAuthentications publickey",
        "  BatchMode yes",
        "  ForwardAgent no",
        "  ForwardX11 no",
        "  PermitLocalCommand no",
        "  ControlMaster no",
        "  ControlPath none",
        "  ConnectTimeout 15",
        "  ServerAliveInterval 15",
        "  ServerAliveCountMax 3",
        "  LogLevel INFO",
    ]
    return "\n".join(lines) + "\n"


def known_hosts(*, first: Hop | tuple[str, ...], device: Hop) -> str:
    """Build the known_hosts of this tunnel, by alias: an address that was somebody else's before means nothing."""
    server = f"{SERVER} {first.host_key}\n" if isinstance(first, Hop) else ""
    return f"{server}{DEVICE} {device.host_key}\n"


def key_exchanges(*, allow_classical: bool) -> tuple[str, ...]:
    """Return what this machine's ssh may offer: post-quantum only. Raises HostError `ssh.kex` when it has none."""
    spoken = set(processes.run(["ssh", "-Q", "kex"]).stdout.split())
    offered = tuple(name for name in POST_QUANTUM + CLASSICAL * allow_classical if name in spoken)
    if not offered:
        version = processes.run(["ssh", "-V"]).stderr.partition(",")[0].strip()
        raise HostError(
            "ssh.kex",
            f"the ssh of this machine ({version}) has no post-quantum key exchange",
            next_step="Install OpenSSH 9.0 or newer, or accept the risk by typing --allow-classical-ssh.",
        )
    return offered


def _host(name: str, hop: Hop) -> Iterator[str]:
    yield f"Host {name}"
    yield f"  HostName {hop.address}"
    yield f"  Port {hop.port}"
    yield f"  User {hop.user}"
    yield f"  HostKeyAlias {name}"
    yield f"  IdentityFile {hop.identity_file}"
    if hop.certificate_file:
        yield f"  CertificateFile {hop.certificate_file}"


def _checked(pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"not fit for an ssh configuration: {value!r}")
    return value
