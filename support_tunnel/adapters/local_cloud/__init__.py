"""A cloud on this machine: real Debian hosts (systemd, sshd, their own network and file system) without any account.

What runs on it has proved itself against the same libcloud calls and the same cloud-init document as in a paid cloud.
Nothing here may know what a tunnel is.
"""

from __future__ import annotations

__all__ = ["register"]


def register() -> None:
    """Make `get_driver("local")` work in this process; again is fine. Imports no driver yet."""
    from libcloud.compute.providers import DRIVERS, set_driver

    if "local" not in DRIVERS:
        set_driver("local", "support_tunnel.adapters.local_cloud.driver", "LocalNodeDriver")
