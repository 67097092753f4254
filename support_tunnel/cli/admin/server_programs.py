"""The programs of the transport headscale that tunnel servers are given: those of the settings, or what set-up built for this checkout."""

from __future__ import annotations

import hashlib
from pathlib import Path

from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.tailnet_programs import built
from support_tunnel.core.errors import UsageError
from support_tunnel.flows.admin.ports import Programs

__all__ = ["digest", "on_servers", "seen_by_local_servers"]


def on_servers(settings: AdminSettings) -> Programs | None:
    """Raises UsageError `config.headscale` when only a part of it is set."""
    told = (settings.headscale, settings.headscale_sha256, settings.tailscale)
    if all(told):
        return Programs(*told)
    if any(told):
        raise UsageError("config.headscale", "headscale, headscale_sha256 and tailscale are set together or not at all")
    headscale, tailscale = built("headscale"), built("tailscaled")
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


def seen_by_local_servers() -> list[Path]:
    """Folders of this machine that servers of the local cloud see, read-only."""
    return sorted({found.parent for program in ("headscale", "tailscaled") if (found := built(program))})
