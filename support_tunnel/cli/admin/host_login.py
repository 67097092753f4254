"""How a host of the inventory is reached: its `ansible_*` variables read, every one that we do not honour refused.

The host's key is known beforehand or the host is not contacted: from the inventory, or from the user's known_hosts.
"""

from __future__ import annotations

import getpass
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.cli.admin.inventory import InventoryHost
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import Shell
from support_tunnel.core.secret import Secret
from support_tunnel.desired.place import Place

__all__ = ["Login", "connect", "login_of"]

HOST_KEY = "support_tunnel_host_key"
HONOURED = frozenset(
    {
        "ansible_connection",
        "ansible_host",
        "ansible_port",
        "ansible_user",
        "ansible_ssh_private_key_file",
        "ansible_become",  # scripts always run as root, through sudo where the user is not
        "ansible_python_interpreter",  # for Ansible's own runs over this inventory; we need none
    }
)
SSH_KEY = "~/.ssh/id_ed25519"
PATIENCE = 10.0
"""Seconds until a host that does not answer counts as unreachable."""


@dataclass(frozen=True, slots=True)
class Login:
    """By ssh, as `user` with the key in `identity`, to exactly `host_key`."""

    host: str
    address: str
    port: int
    user: str
    identity: Secret[str]
    host_key: str
    allow_classical: bool


def login_of(host: InventoryHost, *, known_hosts: Path, allow_classical: bool = False) -> Login | None:
    """Read how to reach `host`; None stands for this machine itself. Raises UsageError `inventory.*`, `ssh.unknown`."""
    for name in host.variables:
        if name.startswith("ansible_") and name not in HONOURED:
            raise _place(host, name).unsupported(f"the variable '{name}'")
    connection = _text(host, "ansible_connection", "local" if host.implicit else "ssh")
    if connection == "local":
        return None
    if connection != "ssh":
        raise _place(host, "ansible_connection").unsupported(f"the connection '{connection}'")
    address, port = _text(host, "ansible_host", host.name), _port(host)
    return Login(
        host=host.name,
        address=address,
        port=port,
        user=_text(host, "ansible_user", getpass.getuser()),
        identity=_identity(host),
        host_key=_host_key(host, address if port == 22 else f"[{address}]:{port}", known_hosts),
        allow_classical=allow_classical,
    )


def connect(login: Login | None) -> AbstractContextManager[Shell]:
    """Open a root shell. Raises HostError `ssh.*`."""
    if login is None:
        from support_tunnel.adapters.local_shell import LocalShell

        return nullcontext(LocalShell())
    from support_tunnel.adapters.ssh_server import connect_server

    try:
        return connect_server(
            login.address,
            port=login.port,
            user=login.user,
            private_key=login.identity,
            host_key=login.host_key,
            timeout=PATIENCE,
            allow_classical=login.allow_classical,
        )
    except HostError as error:
        # The adapter speaks of tunnels; here it is a host of somebody's own.
        advice = {
            "ssh.hostkey": f"Find out why; if the host was set up anew, give its new key as {HOST_KEY} or in known_hosts.",
            "ssh.login": f"Put the public key of {login.user}'s login into the host's authorized_keys.",
        }
        raise HostError(error.code, error.message, next_step=advice.get(error.code, error.next_step)) from None


def _place(host: InventoryHost, name: str) -> Place:
    return host.places.get(name, Place("inventory", 1))


def _text(host: InventoryHost, name: str, default: str) -> str:
    value = host.variables.get(name, default)
    if not isinstance(value, str) or not value or not value.isprintable() or value.startswith("-"):
        raise _place(host, name).wrong("inventory.type", f"'{name}' must be one line of text")
    return value


def _port(host: InventoryHost) -> int:
    value = host.variables.get("ansible_port", 22)
    if isinstance(value, bool) or not str(value).isdecimal() or not 0 < int(value) < 65536:
        raise _place(host, "ansible_port").wrong("inventory.type", "'ansible_port' must be a port number")
    return int(value)


def _identity(host: InventoryHost) -> Secret[str]:
    name = "ansible_ssh_private_key_file"
    file = _text(host, name, SSH_KEY)
    try:
        return Secret(Path(file).expanduser().read_text())
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            "inventory.identity",
            f"{host.name}: the ssh key {file} cannot be read",
            next_step=f"Name an Ed25519 key without a passphrase as {name}; an agent is not asked.",
        ) from None


def _host_key(host: InventoryHost, name: str, known_hosts: Path) -> str:
    from support_tunnel.adapters.known_host import known_host_key

    if HOST_KEY in host.variables:
        key = _text(host, HOST_KEY, "")
        if not key.startswith("ssh-ed25519 "):
            raise _place(host, HOST_KEY).wrong("inventory.type", f"'{HOST_KEY}' must be a line 'ssh-ed25519 AAAA...'")
        return key
    try:
        return known_host_key(name, known_hosts)
    except UsageError as error:
        raise UsageError(
            error.code,
            error.message,
            next_step=f"Give {host.name} the variable {HOST_KEY}: its /etc/ssh/ssh_host_ed25519_key.pub.",
        ) from None
