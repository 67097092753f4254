"""What a node's disk looks like, and what changed on it between two moments: the proof that a session left nothing behind.

Reads only the overlay's upper layer, which holds all that was ever written, and asks the lower layer about the rest; so it takes
a moment for a node that shares gigabytes. Memory file systems of the node (/run, /dev) are not on its disk and not seen here.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath

__all__ = ["Entry", "Snapshot", "changes", "snapshot"]

_OPAQUE = "trusted.overlay.opaque"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a layer, without times: reading a file or rewriting the same bytes is no change."""

    kind: str
    mode: int
    owner: tuple[int, int]
    content: str
    """Digest of a file's bytes, target of a link, numbers of a device."""
    attributes: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The upper layer at one moment. None stands for a whiteout: the node deleted what the lower layer has there."""

    lower: Path
    written: Mapping[str, Entry | None]
    opaque: frozenset[str]
    """Folders that show nothing of the lower layer."""

    def seen(self, path: str) -> Entry | None:
        """What the node sees at `path` (relative to its root), None for nothing."""
        if path in self.written:
            return self.written[path]
        for parent in map(str, PurePosixPath(path).parents):
            if parent in self.opaque:
                return None
            if _hides(self, parent):
                return None
        return _entry(self.lower / path)


def snapshot(upper: Path, lower: Path) -> Snapshot:
    """Read the upper layer of a node, running or not."""
    written: dict[str, Entry | None] = {}
    opaque = set()
    for path in _below(upper):
        name = str(path.relative_to(upper))
        entry = _entry(path)
        if entry is None:
            continue  # it went away while we read
        written[name] = None if (entry.kind, entry.content) == ("character device", "0:0") else entry
        if entry.kind == "folder" and _attribute(path, _OPAQUE) == b"y":
            opaque.add(name)
    return Snapshot(lower, written, frozenset(opaque))


def changes(before: Snapshot, after: Snapshot, *, ignoring: Collection[str]) -> list[str]:
    """Say what differs, one line a path: `added etc/x`, `removed etc/x`, `changed etc/x (mode, content)`.

    `ignoring` names files and folders, relative to the root, that stay out with all that is in them.
    """
    touched = {*before.written, *after.written}
    for folder in before.opaque ^ after.opaque:
        touched.update(str(path.relative_to(after.lower)) for path in _below(after.lower / folder))
    for name in [name for name in touched if _hides(before, name) != _hides(after, name)]:
        touched.update(str(path.relative_to(after.lower)) for path in _below(after.lower / name))
    lines = []
    for name in sorted(touched):
        if any(name == left_out or name.startswith(f"{left_out}/") for left_out in ignoring):
            continue
        old, new = before.seen(name), after.seen(name)
        if old == new:
            continue
        if old is None:
            lines.append(f"added {name}")
        elif new is None:
            lines.append(f"removed {name}")
        else:
            what = [field.name for field in fields(Entry) if getattr(old, field.name) != getattr(new, field.name)]
            lines.append(f"changed {name} ({', '.join(what)})")
    return lines


def _hides(moment: Snapshot, name: str) -> bool:
    """Whether something in the upper layer stands in the way of a lower folder of that name."""
    if name not in moment.written:
        return False
    entry = moment.written[name]
    return entry is None or entry.kind != "folder"


def _below(top: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            yield Path(folder, name)


def _entry(path: Path) -> Entry | None:
    try:
        status = path.lstat()
        return Entry(
            kind=_kind(status.st_mode),
            mode=stat.S_IMODE(status.st_mode),
            owner=(status.st_uid, status.st_gid),
            content=_content(path, status),
            attributes=_attributes(path),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None


def _kind(mode: int) -> str:
    names = {
        stat.S_IFREG: "file",
        stat.S_IFDIR: "folder",
        stat.S_IFLNK: "link",
        stat.S_IFCHR: "character device",
        stat.S_IFBLK: "block device",
        stat.S_IFIFO: "pipe",
        stat.S_IFSOCK: "socket",
    }
    return names[stat.S_IFMT(mode)]


def _content(path: Path, status: os.stat_result) -> str:
    if stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if stat.S_ISLNK(status.st_mode):
        return str(path.readlink())
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return ""


def _attributes(path: Path) -> tuple[tuple[str, bytes], ...]:
    """Extended attributes that the node sees: capabilities, access lists, its own; not the overlay's."""
    names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith("trusted.overlay.")]
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(names))


def _attribute(path: Path, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return b""
