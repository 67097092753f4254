"""What `fab doctor --cloud NAME` looks at: one cloud of the inventory, as a tunnel server would find it. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

from support_tunnel.core.admin_health import judge_root
from support_tunnel.core.device_health import Check

__all__ = ["examine_one"]


def examine_one(name: str) -> Iterator[Check]:
    """Raises UsageError `config.*` when there is no such cloud, or its settings are not whole."""
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.cloud_examination import examine_cloud
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import one_cloud

    cloud = one_cloud(load_admin_settings(os.environ), name)
    root = judge_root([name], uid=os.geteuid())
    if root.state != "ok":
        yield root
    yield from examine_cloud(cloud, user_data=_user_data(), now=SystemClock().now)


def _user_data() -> int:
    """Bytes of what a tunnel server is given, with keys as long as its own will be."""
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.cli import paths
    from support_tunnel.core import ssh_key
    from support_tunnel.desired.user_data import render_user_data
    from support_tunnel.flows.admin.launch import LOGIN_USER

    private, public = ssh_key.new_keypair("tunnel server, first minute")
    text = render_user_data(
        paths.library().templates,
        host_key_private=private,
        host_key_public=public,
        login_user=LOGIN_USER,
        login_key=public,
        expires=SystemClock().now(),
    )
    return len(text.encode())
