"""Look for anything of a local cloud that is still on this machine, without believing any record of it.

    python -m support_tunnel.adapters.local_cloud.leaks [--root FOLDER]

Prints one line a thing and exits with 1; silent and 0 when there is nothing. Removes nothing: a leak is a bug to be seen.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from support_tunnel.adapters.local_cloud.cgroups import hierarchies
from support_tunnel.adapters.local_cloud.images import CACHE
from support_tunnel.adapters.local_cloud.layout import ANY_NAME, DEFAULT_ROOT, CloudLayout
from support_tunnel.adapters.local_cloud.records import is_locked

__all__ = ["find", "main"]


def find(root: Path | None = None) -> list[str]:
    """Name what is left of the cloud in `root`, or of every local cloud."""
    prefix = CloudLayout(root).prefix if root else "stl"

    def ours(name: str) -> bool:
        return name.startswith(prefix) and ANY_NAME.fullmatch(name) is not None

    found = [
        *(f"network interface {path.name}" for path in Path("/sys/class/net").iterdir() if ours(path.name)),
        *(f"network namespace {path.name}" for path in _entries(Path("/run/netns")) if ours(path.name)),
        *(f"control group {path}" for tree in hierarchies() for path in _entries(tree) if ours(path.name)),
        *_mounts(ours),
        *_processes(ours),
    ]
    roots = [root] if root else DEFAULT_ROOT.parent.glob(f"{DEFAULT_ROOT.name}*")
    found += [f"folder {folder}" for folder in roots if folder.exists()]
    building = CACHE / "building"
    if root is None and building.exists() and not is_locked(CACHE):
        found.append(f"folder {building}")
    return sorted(found)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="leaks", description="Name what local clouds left on this machine.")
    parser.add_argument("--root", type=Path, help="only the cloud in this folder")
    found = find(parser.parse_args(words).root)
    sys.stdout.writelines(f"left behind: {line}\n" for line in found)
    return 1 if found else 0


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _mounts(ours: Callable[[str], bool]) -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, target, *_ = line.split()
        if ours(source) or ours(Path(target).name):
            yield f"mount {target}"


def _processes(ours: Callable[[str], bool]) -> Iterator[str]:
    """Processes in a control group or network namespace of a node, or started for one."""
    namespaces = {
        (status.st_dev, status.st_ino)
        for path in _entries(Path("/run/netns"))
        if ours(path.name)
        for status in [path.stat()]
    }
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is a zombie
            network = (entry / "ns/net").stat()
            groups = {part for line in (entry / "cgroup").read_text().split() for part in line.split("/")}
            words = {word.rpartition("=")[2] for word in (entry / "cmdline").read_text().split("\0")}
            if (network.st_dev, network.st_ino) in namespaces or any(map(ours, groups | words)):
                yield f"process {entry.name} {(entry / 'comm').read_text().strip()}"


if __name__ == "__main__":
    sys.exit(main())
