"""Judge whether a device or an admin can use the transport headscale, from facts that others gathered; `device_health` for the rest.

Nothing here fails a machine that can do without: sessions by WireGuard need none of it. Whether a network lets TCP 443 out, nobody can
tell before there is a server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from support_tunnel.core.device_health import Check, judge_clock

__all__ = ["judge_device", "judge_digest", "judge_programs", "judge_standing"]

OLDEST_CLIENT: Final = (1, 80)
"""Headscale 0.29 refuses older ones (hscontrol/capver)."""
_NAME: Final = "headscale"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def judge_device(folder: str, found: Mapping[str, str]) -> Check:
    """`folder`: where Tailscale's programs are by the device's settings; `found`: `desired.doctor_probe.tailscale_facts`."""
    if not folder:
        return Check(_NAME, "ok", "not set up; sessions go by WireGuard")
    if missing := [name for name in ("tailscale", "tailscaled") if name not in found]:
        return Check(
            _NAME,
            "warn",
            f"{' and '.join(missing)} in {folder} cannot be run",
            "Set `tailscale` in /etc/support_tunnel/config.ini to the folder of both programs, or take the line out.",
        )
    for name in ("tailscale", "tailscaled"):
        if _version(found[name]) < OLDEST_CLIENT:
            return Check(
                _NAME, "warn", f"{name} {found[name]} is too old for Headscale", "Upgrade Tailscale to 1.80 or later."
            )
    if found["tailscale"] != found["tailscaled"]:
        return Check(
            _NAME,
            "warn",
            f"tailscale is {found['tailscale']}, and tailscaled {found['tailscaled']}",
            "Take both programs from one release.",
        )
    if "tun" not in found:
        return Check(_NAME, "warn", "there is no /dev/net/tun for Tailscale", "Load the module: modprobe tun")
    if "other" in found:
        return Check(
            _NAME,
            "warn",
            "another Tailscale runs here, and two would take each other's routes",
            "Stop it for the session (tailscale down; systemctl stop tailscaled), or use --transport wireguard.",
        )
    return Check(_NAME, "ok", f"Tailscale {found['tailscaled']} (whether TCP 443 gets out, shows in a session)")


def judge_programs(sha256: str) -> Check:
    """The settings of the programs that tunnel servers have; they are whole. `sha256` is empty where there are none."""
    if not sha256:
        return Check(_NAME, "ok", "not set up; requests that offer nothing else are refused")
    if not _DIGEST.fullmatch(sha256):
        return Check(
            _NAME,
            "fail",
            "headscale_sha256 is not a SHA-256 in hex",
            "Take it from the program itself: sha256sum headscale",
        )
    return Check(_NAME, "ok", "tunnel servers have its programs, by the settings (seen by a session)")


def judge_digest(path: str, *, told: str, found: str) -> Check:
    """Of a program that this machine has too, for its own servers see it under the same path; `found` is empty where it cannot be read."""
    if not found:
        return Check(_NAME, "fail", f"{path} cannot be read", "Set headscale to the path of the program.")
    if found != told:
        return Check(
            _NAME,
            "fail",
            f"{path} is not the program of headscale_sha256",
            f"Set headscale_sha256 to what sha256sum {path} says, if you trust it.",
        )
    return Check(_NAME, "ok", f"{path} is the program that headscale_sha256 names")


def judge_standing(version: str, offset: timedelta) -> Check:
    """Of a standing server that answers and takes our key. `offset`: its clock minus ours; keys and ends of tunnels are by its own."""
    clock = judge_clock(offset)
    if clock.state == "ok":
        return Check(
            "standing",
            "ok",
            f"Headscale {version}, which takes the key; its clock is {offset.total_seconds():+.0f} s from ours",
        )
    return Check(
        "standing",
        clock.state,
        f"the Headscale server's clock is {offset.total_seconds():+.0f} s from ours",
        "Set the clock of whichever is wrong (timedatectl set-ntp true): join keys live for minutes.",
    )


def _version(said: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
