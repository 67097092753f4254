"""What a local cloud remembers on disk. Written before the effect it tells of, so that `kill -9` loses nothing.

Locks are `flock` on the folders themselves: the kernel drops them with their holder, no stale lock file stays.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support_tunnel.adapters.local_cloud.layout import NodeLayout

__all__ = ["NodeRecord", "is_locked", "load_record", "locked", "replace_file", "save_record"]


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node as it was asked for. `created` and `expires` are Unix seconds; `expires` 0 means no end of life."""

    id: str
    name: str
    image: str
    size: str
    address: str
    lower: str
    created: int
    expires: int = 0
    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    bind_ro: tuple[str, ...] = ()
    cloud_init: bool = False
    host_key: str = ""
    """Public host key line, when the driver chose the key; with user-data the caller did."""
    made: bool = False
    """False until create_node has ended well: a record that stays so lost its maker."""


def replace_file(path: Path, text: str) -> None:
    """Write atomically, 0600: another process may be reading."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def save_record(place: NodeLayout, record: NodeRecord) -> None:
    replace_file(place.record, json.dumps(dataclasses.asdict(record), indent=1))


def load_record(place: NodeLayout) -> NodeRecord | None:
    """None when the node is gone."""
    try:
        fields: dict[str, Any] = json.loads(place.record.read_text())
    except FileNotFoundError:
        return None
    fields["bind_ro"] = tuple(fields["bind_ro"])
    return NodeRecord(**fields)


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Hold `folder` exclusively; False when it does not exist (any more)."""
    while True:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # While we waited, the holder may have removed the folder and somebody else made a new one.
            if _is_still(folder, descriptor):
                yield True
                return
        finally:
            os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Tell whether somebody holds `folder`; False when it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _is_still(folder: Path, descriptor: int) -> bool:
    try:
        there = folder.stat()
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == ((held := os.fstat(descriptor)).st_dev, held.st_ino)
