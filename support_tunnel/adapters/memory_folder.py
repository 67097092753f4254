"""Where a folder lies in memory on this system, and whether one does: tmpfs on Linux and WSL, a RAM disk on macOS.

Must not guess: a folder that cannot be shown to lie in memory counts as one on a disk.
"""

from __future__ import annotations

import os
import plistlib
import sys
from collections.abc import Mapping
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import HostError

__all__ = ["how_to_have_one", "in_memory", "lies_in_memory", "user_folder"]

MEMORY_BACKED = frozenset({"tmpfs", "ramfs"})
RAM_DISK = Path("/Volumes/support_tunnel")
MOUNTS = Path("/proc/self/mountinfo")


def user_folder(environment: Mapping[str, str]) -> Path:
    """The user's runtime folder; for root /run; /dev/shm where those are missing or on a disk (containers, WSL without systemd).

    On macOS a folder on the RAM disk that `how_to_have_one` makes, where XDG_RUNTIME_DIR names nothing better.
    """
    candidates = []
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        candidates.append(Path(runtime) / "support_tunnel")
    if sys.platform == "darwin":
        candidates.append(RAM_DISK / "vault")
    else:
        if os.geteuid() == 0:
            candidates.append(Path("/run/support_tunnel_admin"))
        candidates.append(Path(f"/dev/shm/support_tunnel_{os.geteuid()}"))  # noqa: S108 - only a 0700 folder of ours passes
    return next((folder for folder in candidates if in_memory(folder.parent)), candidates[-1])


def how_to_have_one() -> str:
    if sys.platform == "darwin":
        # diskutil(8), hdiutil(1): 16384 blocks of 512 bytes, gone at the next start or with `hdiutil detach`.
        return (
            f"Make a RAM disk, once after each start: diskutil erasevolume HFS+ {RAM_DISK.name} "
            "$(hdiutil attach -nomount ram://16384)"
        )
    return "Log in so that XDG_RUNTIME_DIR is set, or name a folder on a tmpfs."


def in_memory(folder: Path) -> bool:
    """Tell whether `folder` is there and lies in memory."""
    try:
        return lies_in_memory(folder)
    except FileNotFoundError:
        return False


def lies_in_memory(folder: Path) -> bool:
    """As `in_memory`; raises FileNotFoundError for one that is not there."""
    return _on_ram_disk(folder) if sys.platform == "darwin" else _on_tmpfs(folder)


def _on_tmpfs(folder: Path) -> bool:
    """By device number in mountinfo (proc(5)): Python's statvfs has no type."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = MOUNTS.read_text().splitlines()
    except OSError:
        return False
    for line in mounts:
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == wanted:
            return source.split()[0] in MEMORY_BACKED
    return False


def _on_ram_disk(folder: Path) -> bool:
    """By the images that hdiutil(1) has attached: one made of memory says `ram://` and its size as its path."""
    resolved = folder.resolve(strict=True)
    mount = next(path for path in (resolved, *resolved.parents) if path.is_mount())
    try:
        said = plistlib.loads(processes.run(["hdiutil", "info", "-plist"]).stdout.encode())
    except (HostError, plistlib.InvalidFileException, ValueError):
        return False
    return any(
        str(image.get("image-path", "")).startswith("ram://") and Path(entity.get("mount-point", "/")) == mount
        for image in said.get("images", [])
        for entity in image.get("system-entities", [])
        if mount != Path("/")
    )
