"""Images that were made of a node: a folder each, with the whole of its file tree and what it was called.

One appears with its record in it or not at all; what a killed maker left has another name, and goes with the next.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud.images import CACHE
from support_tunnel.adapters.local_cloud.records import locked
from support_tunnel.core.errors import CloudError, UsageError

__all__ = ["BAKED", "Baked", "bake", "baked", "remove"]

BAKED = CACHE / "baked"

_BUILDING = "building-"
_NAME = re.compile(r"(?!building-)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Baked:
    name: str
    cloud_init: bool
    tags: dict[str, str] = field(default_factory=dict)


def bake(folder: Path, name: str, tree: Path, tags: Mapping[str, str], *, cloud_init: bool) -> None:
    """Copy `tree`, which nothing changes meanwhile. Raises UsageError `cloud.name`, CloudError `cloud.taken`, HostError `process.*`."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            "cloud.name", f"{name!r} is no name of an image: lower-case letters, digits and hyphens, 63 at most"
        )
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(folder):
        if name in baked(folder):
            raise CloudError("cloud.taken", f"there is an image {name} already", next_step="fab bake-image --list")
        for left in folder.glob(f"{_BUILDING}*"):
            shutil.rmtree(left)
        building = folder / f"{_BUILDING}{name}"
        (building / "root").mkdir(parents=True)
        building.chmod(0o700)  # it may hold what only its own root may read
        try:
            processes.run(["cp", "--archive", "--one-file-system", f"{tree}/.", building / "root"], timeout=600)
            (building / "record").write_text(json.dumps(asdict(Baked(name, cloud_init, dict(tags)))))
            os.sync()
            building.rename(folder / name)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise


def baked(folder: Path) -> dict[str, tuple[Baked, Path]]:
    """By name, each with the root of its file tree."""
    found = {}
    for record in sorted(folder.glob("*/record")):
        if not record.parent.name.startswith(_BUILDING):
            image = Baked(**json.loads(record.read_text()))
            found[image.name] = (image, record.parent / "root")
    return found


def remove(folder: Path, name: str) -> None:
    """Its record first: an image half removed is none."""
    if name in baked(folder):
        with locked(folder):
            going = folder / f"{_BUILDING}{name}"
            shutil.rmtree(going, ignore_errors=True)
            (folder / name).rename(going)
            shutil.rmtree(going)
