"""Where a local cloud keeps what, and what its things are called on this machine.

Every name starts with `stl` and six digits made from the cloud's own folder, so two clouds (a user's and a test's) can
never take each other's things for their own, and what is left behind can be found without any state file.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.core.errors import CloudError

__all__ = ["ANY_NAME", "DEFAULT_ROOT", "CloudLayout", "NodeLayout"]

DEFAULT_ROOT = Path("/dev/shm/support_tunnel-cloud")  # noqa: S108 - checked below to be root's own, mode 0700
"""Memory, not disk: an overlay's upper layer needs `trusted.*` attributes and may not lie on the file system it covers
(which is `/`). It ends with the machine's uptime, as the nodes do. A node takes 10 to 30 MB of it."""

ANY_NAME = re.compile(r"stl[0-9a-f]{12}|stl[0-9a-f]{6}-br")
"""A node or bridge of any local cloud."""


@dataclass(frozen=True, slots=True)
class NodeLayout:
    """Paths and names of one node; `id` also names its network namespace, host-side link and machine."""

    id: str
    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "node.json"

    @property
    def upper(self) -> Path:
        """What the node wrote: the overlay's upper layer."""
        return self.folder / "upper"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def merged(self) -> Path:
        """The node's file tree as the node sees it."""
        return self.folder / "merged"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def netns(self) -> Path:
        return Path("/run/netns") / self.id


@dataclass(frozen=True, slots=True)
class CloudLayout:
    """Paths and names of one local cloud."""

    root: Path = DEFAULT_ROOT

    @property
    def prefix(self) -> str:
        return "stl" + hashlib.sha256(os.fsencode(self.root.absolute())).hexdigest()[:6]

    @property
    def bridge(self) -> str:
        return f"{self.prefix}-br"

    @property
    def settings(self) -> Path:
        return self.root / "cloud.json"

    @property
    def nodes(self) -> Path:
        return self.root / "nodes"

    @property
    def draft(self) -> Path:
        """A node's folder before it has its record; only who holds the cloud's lock touches it."""
        return self.root / "draft"

    def new_id(self) -> str:
        """15 characters: the longest name Linux gives an interface."""
        return self.prefix + secrets.token_hex(3)

    def node(self, node_id: str) -> NodeLayout:
        """Raises CloudError `cloud.id` for an id that this cloud cannot have made (`../..` is one)."""
        if not re.fullmatch(rf"{self.prefix}[0-9a-f]{{6}}", node_id):
            raise CloudError("cloud.id", f"{node_id!r} is no node of the local cloud in {self.root}")
        return NodeLayout(node_id, self.nodes / node_id)

    def node_ids(self) -> list[str]:
        """Ids of all nodes, half-made ones too; the record comes with the folder and goes last."""
        return sorted(path.parent.name for path in self.nodes.glob(f"{self.prefix}*/node.json"))

    def make_root(self) -> None:
        """Make the folder, or refuse one that somebody else could have prepared (`/dev/shm` is open to all)."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.root.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise CloudError(
                "cloud.root",
                f"{self.root} is not a folder that only root may enter",
                next_step=f"Look at it, then remove it: ls -la {self.root}",
            )
