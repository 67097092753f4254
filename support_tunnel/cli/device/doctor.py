"""`inv doctor`: can this device hold a session, and if not, what is to be done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli import paths
from support_tunnel.cli.boundary import verb
from support_tunnel.cli.called import as_called
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import SupportTunnelError

if TYPE_CHECKING:
    from support_tunnel.core.ports import ApiLook

__all__ = ["doctor"]


@verb(flags={"json": "one line of JSON, for programs"})
def doctor(c: Context, json: bool = False) -> None:
    """Check whether this device can hold a session.

    A line a check, and what to do where it cannot. Changes nothing.
    """
    from support_tunnel.adapters.local_shell import LocalShell
    from support_tunnel.flows.device.doctor import examine

    checks = examine(LocalShell(), _settings, log=str(paths.DEVICE_LOG), tailscale=_tailscale)
    if json:
        emit([{"check": one.name, "state": one.state, "said": one.said, "fix": as_called(one.fix)} for one in checks])
    for one in () if json else checks:
        line(f"{one.state:4}  {one.name}: {one.said}")
        if one.fix:
            line(f"      -> {as_called(one.fix)}")
    if failed := [one.name for one in checks if one.state == "fail"]:
        raise SupportTunnelError(
            "doctor.failed",
            f"this device cannot hold a session yet: {', '.join(failed)}",
            next_step="Do what stands behind each fail, then run this again.",
        )


def _tailscale() -> str:
    from support_tunnel.cli.device.settings import load_device_settings
    from support_tunnel.cli.tailnet_programs import on_this_machine

    return on_this_machine(load_device_settings(os.environ).tailscale)


def _settings() -> ApiLook:
    """Read everything that a request would read."""
    from support_tunnel.adapters.api_look import HttpApiLook
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.hook_scripts import HookScripts
    from support_tunnel.cli.device.settings import load_device_settings, load_policy
    from support_tunnel.cli.device.trust import load_trust

    settings = load_device_settings(os.environ)
    load_trust(settings)
    load_policy()
    HookScripts(settings.hooks).check()
    return HttpApiLook(
        settings.api,
        clock=SystemClock(),
        fingerprint=settings.api_fingerprint or None,
        proxy=settings.http_proxy(),
    )
