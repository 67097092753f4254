"""A node's file tree: an overlay whose lower layer is an image and whose upper layer is the node's own.

Features that hide a change from the upper layer (`redirect_dir`, `metacopy`, `index`) are off, whatever the kernel's
default: snapshots read what changed from there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud.layout import NodeLayout
from support_tunnel.core.errors import CloudError

__all__ = ["hide", "make_layers", "mount", "own_folder", "remove", "unmount"]


def make_layers(node: NodeLayout) -> None:
    for folder in (node.upper, node.work, node.merged):
        folder.mkdir(mode=0o755)


def mount(node: NodeLayout, lower: Path) -> None:
    options = f"lowerdir={lower},upperdir={node.upper},workdir={node.work},redirect_dir=off,metacopy=off,index=off"
    processes.run(["mount", "-t", "overlay", node.id, "-o", options, node.merged])


def own_folder(upper: Path, lower: Path, folder: str) -> Path:
    """Make `folder` in the upper layer with the owner and mode it has below, for each part of its path."""
    below, above = lower, upper
    for part in Path(folder).parts:
        below, above = below / part, above / part
        if above.is_dir():
            continue
        above.mkdir(mode=0o755)
        if below.is_dir():
            status = below.stat()
            os.chown(above, status.st_uid, status.st_gid)
            above.chmod(status.st_mode & 0o7777)
    return above


def hide(upper: Path, lower: Path, folder: str) -> Path:
    """Let the node see `folder` empty, whatever the lower layer holds there."""
    above = own_folder(upper, lower, folder)
    os.setxattr(above, "trusted.overlay.opaque", b"y")
    return above


def unmount(node: NodeLayout) -> None:
    """Unmount, lazily when something still looks into it. Raises CloudError `cloud.mount` when it stays."""
    while os.path.ismount(node.merged):
        if processes.run(["umount", node.merged], accept=None).status == 0:
            continue
        if processes.run(["umount", "--lazy", node.merged], accept=None).status != 0:
            raise CloudError("cloud.mount", f"{node.merged} cannot be unmounted")


def remove(node: NodeLayout) -> None:
    """Delete the node's folder, its record last: until then list_nodes shows the node."""
    if os.path.ismount(node.merged):
        raise CloudError("cloud.mount", f"{node.merged} is still mounted; nothing was deleted")
    for folder in (node.merged, node.work, node.upper):
        if folder.exists():
            shutil.rmtree(folder)
    for file in node.folder.iterdir():
        if file != node.record:
            file.unlink()
    node.record.unlink(missing_ok=True)
    node.folder.rmdir()
