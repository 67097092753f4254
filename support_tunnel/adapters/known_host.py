"""The host key that the person running this already trusts for a host, from their own known_hosts; hashed lines too."""

from __future__ import annotations

from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import UsageError

__all__ = ["known_host_key"]


def known_host_key(host: str, file: Path) -> str:
    """Return its `ssh-ed25519 AAAA...`. Raises UsageError `ssh.unknown`: nothing is trusted because it answers first."""
    found = processes.run(["ssh-keygen", "-F", host, "-f", file], accept=None).stdout
    known, revoked = list[str](), set[str]()
    for line in found.splitlines():
        match line.split():
            case ["@revoked", _, "ssh-ed25519", key, *_]:
                revoked.add(key)
            case [names, "ssh-ed25519", key, *_] if not names.startswith(("#", "@")):
                known.append(key)
    for key in known:
        if key not in revoked:
            return f"ssh-ed25519 {key}"
    raise UsageError(
        "ssh.unknown",
        f"{file} holds no ssh-ed25519 key of {host}",
        next_step="Give the host's key: --host-key 'ssh-ed25519 AAAA...' (on the host: /etc/ssh/ssh_host_ed25519_key.pub).",
    )
