"""A control group of its own for every node.

Without one, `systemd-nspawn --keep-unit` puts all nodes into the same `/payload`: a unit stopped in one node would wait for the
processes of the unit of that name in another. It also names every process of a node, whatever namespaces that made for itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from support_tunnel.adapters.local_cloud.layout import NodeLayout
from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Clock
from support_tunnel.core.waiting import wait_for

__all__ = ["groups", "hierarchies", "make", "processes_in", "remove"]


def hierarchies() -> list[Path]:
    """Mounts that systemd keeps its processes in: version 2, and version 1's `name=systemd` beside it. Seldom both."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(folder))
    if not found:
        raise HostError("cloud.cgroups", "this machine has no control groups that systemd could use")
    return found


def groups(node: NodeLayout) -> list[Path]:
    return [hierarchy / node.id for hierarchy in hierarchies()]


def make(node: NodeLayout) -> list[Path]:
    """Make the node's groups; return the files through which a process joins them."""
    for group in groups(node):
        group.mkdir(exist_ok=True)
    return [group / "cgroup.procs" for group in groups(node)]


def processes_in(node: NodeLayout) -> set[int]:
    found: set[int] = set()
    for group in groups(node):
        for folder in _tree(group):
            with contextlib.suppress(OSError):  # the group ended meanwhile
                found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    return found


def remove(node: NodeLayout, clock: Clock) -> None:
    """Remove the node's groups; the kernel lets go of an ended process a moment later."""

    def removed() -> bool | None:
        for group in groups(node):
            for folder in reversed(_tree(group)):
                _rmdir(folder)
        return True if not any(group.exists() for group in groups(node)) else None

    wait_for(removed, what=f"end of the control groups of {node.id}", seconds=10, clock=clock)


def _tree(group: Path) -> list[Path]:
    """The group and all below it, parents first. Not by `rglob`: that fails when a group ends while it looks."""
    return [Path(folder) for folder, _, _ in os.walk(group)]


def _rmdir(folder: Path) -> None:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
