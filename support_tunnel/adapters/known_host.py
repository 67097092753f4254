"""The host key that the person running this already trusts for a host, from their own known_hosts; hashed lines too."""

from __future__ import annotations

from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import UsageError

__all__ = ["known_host_key"]


def known_host_key(host: str, file: Path) -> str:
    """Return its `ssh-ed25519 AAAA...`. Raises UsageError `ssh.unknown`: nothing is trusted because it answers first."""
    found = processes.run(["ssh-keygen", "-F", host, "-f", file], accept=None).stdout
    for line in found.splitlines():
        match line.split():
            case [str(names), "ssh-ed25519", str(key), *_] if not names.startswith(("#", "@")):
                return f"ssh-ed25519 {key}"
    raise UsageError(
        "ssh.unknown",
        f"{file} holds no ssh-ed25519 key of {host}",
        next_step="Give the host's key: --host-key 'ssh-ed25519 AAAA...' (on the host: /etc/ssh/ssh_host_ed25519_key.pub).",
    )
