"""`inv install` and `inv uninstall`: what a device is told once."""

from __future__ import annotations

import re
import shlex
import socket
import sys
from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli import paths
from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line
from support_tunnel.core.errors import UsageError

if TYPE_CHECKING:
    from support_tunnel.cli.device.settings import DeviceSettings

__all__ = ["install", "uninstall"]

_JSON = "one line of JSON, for programs"
_AS_IT_IS = -1
"""Of a timer whose minutes were not given."""


@verb(
    flags={
        "api": "address of the API, https://name:port (default: as it is set)",
        "api-fingerprint": "SHA-256 of the API's certificate, where no public authority vouches for it",
        "name": "how this device is called on the helper's screen (default: its host name)",
        "proxy": "HTTP proxy on the way to the API, http://[user@]name:port",
        "proxy-password-file": "file that holds the proxy's password (0600, root's)",
        "org-ca": "let only helpers of these organisations ask: a file of CA keys, each line `ssh-ed25519 BASE64 NAME`",
        "org-principal": "what a helper's certificate has to name (default: support-tunnel-signer)",
        "revoked": "a file of keys that never count, each line a fingerprint (SHA256:...) or a public key",
        "minutes": "look for what nobody watches every so many minutes too, not at boot only (at most 1440; 0: no more)",
        "connect-minutes": "open what was answered and approved before every so many minutes (at most 1440; 0: no more)",
        "json": _JSON,
    }
)
def install(
    c: Context,
    api: str = "",
    api_fingerprint: str = "",
    name: str = "",
    proxy: str = "",
    proxy_password_file: str = "",
    org_ca: str = "",
    org_principal: str = "",
    revoked: str = "",
    minutes: int = _AS_IT_IS,
    connect_minutes: int = _AS_IT_IS,
    json: bool = False,
) -> None:
    """Write the settings; have each boot clean up.

    What is set stays; the same again changes nothing.
    """
    from support_tunnel.adapters.local_shell import LocalShell
    from support_tunnel.cli.device.settings import load_device_settings
    from support_tunnel.cli.device.trust import trusting
    from support_tunnel.cli.device.wiring import need_root
    from support_tunnel.flows.device import install as flow

    need_root()
    given = {
        "SUPPORT_TUNNEL_API": api,
        "SUPPORT_TUNNEL_API_FINGERPRINT": api_fingerprint,
        "SUPPORT_TUNNEL_NAME": name,
        "SUPPORT_TUNNEL_PROXY": proxy,
        "SUPPORT_TUNNEL_PROXY_PASSWORD_FILE": proxy_password_file,
    }
    for value in given.values():
        if not value.isprintable():
            raise UsageError("usage.value", "a setting is one line of printable text")
    for flag, every in {"minutes": minutes, "connect-minutes": connect_minutes}.items():
        if every != _AS_IT_IS and not 0 <= every <= 24 * 60:
            raise UsageError("usage.range", f"--{flag} is from 0 to 1440")
    settings = load_device_settings({key: value for key, value in given.items() if value})
    _check(settings)
    settings, lists = trusting(settings, org_ca=org_ca, org_principal=org_principal, revoked=revoked)
    variables = {
        **_variables(settings),
        **lists,
        "device_boot_command": flow.systemd_words(_verb("gc")),
        "device_boot_minutes": _minutes(minutes, "support-tunnel-clean.timer"),
        "device_boot_connect_command": flow.systemd_words(_verb("connect-approved-tunnels")),
        "device_boot_connect_minutes": _minutes(connect_minutes, "support-tunnel-connect.timer"),
    }
    changed = flow.install(LocalShell(), paths.library(), variables)
    if json:
        emit({"changed": changed})
    else:
        line(
            f"installed: {len(changed)} steps changed something" if changed else "installed: nothing had to be changed"
        )


def _verb(name: str) -> list[str]:
    """How a unit runs one of our verbs: this interpreter, this package, from anywhere."""
    program = [sys.executable, "-m", "support_tunnel.cli.device.program"]
    return ["/usr/bin/env", "-C", str(paths.REPOSITORY), *program, name]


def _minutes(given: int, timer: str) -> int:
    """As given, else as it is set on this device; 0 where there is no such timer of ours."""
    if given != _AS_IT_IS:
        return given
    try:
        text = (paths.SYSTEM_UNITS / timer).read_text()
    except FileNotFoundError:
        return 0
    found = re.search(r"^OnActiveSec=([0-9]+)min$", text, re.MULTILINE)
    return int(found[1]) if found else 0


def _check(settings: DeviceSettings) -> None:
    """Refuse an address or pin that no request could use, before it is written."""
    from support_tunnel.adapters.api_look import HttpApiLook
    from support_tunnel.adapters.clock import SystemClock

    HttpApiLook(settings.api, clock=SystemClock(), fingerprint=settings.api_fingerprint or None)
    settings.http_proxy()


def _variables(settings: DeviceSettings) -> dict[str, object]:
    return {
        "device_settings_api": settings.api,
        "device_settings_api_fingerprint": settings.api_fingerprint,
        "device_settings_name": "" if settings.name == socket.gethostname() else settings.name,
        "device_settings_proxy": settings.proxy,
        "device_settings_proxy_password_file": settings.proxy_password_file,
        "device_settings_max_sessions": settings.max_sessions,
        "device_settings_tailscale": settings.tailscale,
        "device_settings_debug": settings.debug,
        "device_settings_org_ca": settings.org_ca,
        "device_settings_org_principal": settings.org_principal,
        "device_settings_revoked": settings.revoked,
        "device_settings_scripts": [
            {"moment": moment, "command": shlex.join(command.words)} for moment, command in settings.hooks.items()
        ],
    }


@verb(flags={"json": _JSON})
def uninstall(c: Context, json: bool = False) -> None:
    """End every session; take the clean-up at boot away.

    Settings and logs stay; they are yours to delete.
    """
    from support_tunnel.adapters.local_shell import LocalShell
    from support_tunnel.cli.device.wiring import ending_ports
    from support_tunnel.flows.device import install as flow
    from support_tunnel.flows.device.clean_up import known_tunnels
    from support_tunnel.flows.device.end_session import stop_all

    ports = ending_ports()
    tunnels = known_tunnels(ports)
    stop_all(ports, tunnels, "support-tunnel was taken off this device")
    removed = flow.uninstall(LocalShell())
    if json:
        emit({"stopped": [str(tunnel) for tunnel in tunnels], "removed": removed})
        return
    line(f"uninstalled: {', '.join(removed)}" if removed else "uninstalled: there was nothing to take away")
    kept = [str(path) for path in (paths.DEVICE_CONFIG.parent, paths.DEVICE_LOG, paths.DEVICE_STATE) if path.exists()]
    if kept:
        sys.stderr.write(f"Kept: {', '.join(kept)}\n")
