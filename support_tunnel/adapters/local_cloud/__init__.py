"""A cloud on this machine: real Debian hosts (systemd, sshd, their own network and file system) without any account.

What runs on it has proved itself against the same libcloud calls and the same cloud-init document as in a paid cloud.
Nothing here may know what a tunnel is.
"""

from __future__ import annotations

import sys

from support_tunnel.core.errors import UsageError

__all__ = ["register", "require_linux"]


def require_linux() -> None:
    """Raises UsageError `cloud.linux-only`; nothing of the local cloud may be imported before."""
    if sys.platform != "linux":
        raise UsageError(
            "cloud.linux-only",
            "the local cloud boots Debian hosts under this machine's kernel, so it works on Linux only",
            next_step="Name another cloud in the inventory, or do this on a Linux machine.",
        )


def register() -> None:
    """Make `get_driver("local")` work in this process; again is fine. Imports no driver yet. Raises as `require_linux`."""
    require_linux()
    from libcloud.compute.providers import DRIVERS, set_driver

    if "local" not in DRIVERS:
        set_driver("local", "support_tunnel.adapters.local_cloud.driver", "LocalNodeDriver")
