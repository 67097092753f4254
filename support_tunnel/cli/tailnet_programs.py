"""Where the programs of the transport headscale are: as the settings say, or those that set-up built for this checkout.

Set-up's own lie on this machine alone, so they serve what runs on it: the local cloud's servers see their folders, and a device that is
this machine, or a node made of it, has them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.cli import paths
from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.flows.admin.ports import Programs

__all__ = ["digest", "on_device", "on_own_machine", "on_servers", "seen_by_local_servers"]


def on_servers(settings: AdminSettings) -> Programs | None:
    """Raises UsageError `config.headscale` when only a part of it is set."""
    told = (settings.headscale, settings.headscale_sha256, settings.tailscale)
    if all(told):
        return Programs(*told)
    if any(told):
        raise UsageError("config.headscale", "headscale, headscale_sha256 and tailscale are set together or not at all")
    headscale, tailscale = _built("headscale"), _built("tailscaled")
    if settings.cloud != "local" or headscale is None or tailscale is None:
        return None
    return Programs(str(headscale), digest(headscale), str(tailscale.parent))


def digest(program: Path) -> str:
    """SHA-256 in hex; empty where it cannot be read."""
    try:
        with program.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""


def on_device(setting: str) -> str:
    """The folder of Tailscale's programs on this device; empty where it has none."""
    built = None if setting else _built("tailscaled")
    return str(built.parent) if built else setting


def on_own_machine(setting: str) -> str:
    """The folder of Tailscale's programs on the admin's machine; empty: wherever the PATH finds them."""
    return on_device(setting)


def seen_by_local_servers() -> list[Path]:
    """Folders of this machine that servers of the local cloud see, read-only."""
    return sorted({found.parent for program in ("headscale", "tailscaled") if (found := _built(program))})


def _built(program: str) -> Path | None:
    """None also where set-up has not looked: whoever wants it is told then."""
    if not paths.CHECKOUT:
        return None
    try:
        return built_tool(paths.REPOSITORY, program)
    except HostError:
        return None
