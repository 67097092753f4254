"""Where Tailscale's programs are on this machine: as the settings say, or those that set-up built for this checkout.

Set-up's own lie on this machine alone, so they serve what runs on it: the local cloud's servers see their folders, and a device that is
this machine, or a node made of it, has them.
"""

from __future__ import annotations

from pathlib import Path

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.cli import paths
from support_tunnel.core.errors import HostError

__all__ = ["built", "on_this_machine"]


def on_this_machine(setting: str) -> str:
    """Their folder; empty where there is none: a device does without them, an admin's machine has those that the PATH finds."""
    found = None if setting else built("tailscaled")
    return str(found.parent) if found else setting


def built(program: str) -> Path | None:
    """What set-up built. None also where it has not looked: whoever wants it is told then."""
    if not paths.CHECKOUT:
        return None
    try:
        return built_tool(paths.REPOSITORY, program)
    except HostError:
        return None
