"""`fab bake-image`: an image of tunnel servers with their packages in it, and those from before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from invoke.context import Context

from support_tunnel.cli.boundary import verb
from support_tunnel.cli.output import emit, line, table
from support_tunnel.core.errors import UsageError

if TYPE_CHECKING:
    from support_tunnel.core.ports import Image
    from support_tunnel.flows.admin.ports import AdminPorts

__all__ = ["bake_image"]


@verb(
    flags={
        "cloud": "one of `clouds` in the inventory (default: `cloud` there)",
        "list": "show the images that were made there, and make none",
        "remove": "name of an image to remove; make none",
        "json": "one line of JSON, for programs",
    },
)
def bake_image(c: Context, cloud: str = "", list_: bool = False, remove: str = "", json: bool = False) -> None:
    """Make, list or remove images of tunnel servers that need no package mirror."""
    from support_tunnel.cli.admin.settings import load_admin_settings
    from support_tunnel.cli.admin.wiring import admin_ports

    if list_ and remove:
        raise UsageError("usage.image", "--list and --remove exclude each other")
    ports = admin_ports(load_admin_settings(os.environ, cloud=cloud))
    if list_:
        _list(ports, as_json=json)
    elif remove:
        _remove(ports, remove, as_json=json)
    else:
        _bake(ports, as_json=json)


def _bake(ports: AdminPorts, *, as_json: bool) -> None:
    from support_tunnel.flows.admin.bake import bake

    try:
        baked = bake(ports)
    finally:
        ports.progress.end()
    if as_json:
        emit({"cloud": ports.cloud, "others": [one.name for one in baked.others], **_row(baked.image)})
        return
    line(f"image: {baked.image.name}; its server is gone")
    line(f"in the inventory, support_tunnel/clouds/{ports.cloud}:")
    line(f"  image: {baked.image.word}")
    for old in baked.others:
        line(f"there is an older one: fab bake-image --cloud {ports.cloud} --remove {old.name}")


def _list(ports: AdminPorts, *, as_json: bool) -> None:
    from support_tunnel.adapters.terminal import printable
    from support_tunnel.flows.admin.bake import images_of

    found: Sequence[Image] = sorted(images_of(ports), key=lambda one: (one.tags.get("st-made", ""), one.name))
    if as_json:
        emit([{"cloud": ports.cloud, **_row(one)} for one in found])
    elif found:
        head = ("IMAGE", "IN THE INVENTORY", "MADE", "BY", "STATE")
        rows = [
            (
                printable(one.name),
                printable(one.word),
                f"{made.astimezone():%Y-%m-%d %H:%M}" if (made := _made(one)) else "?",
                printable(one.tags.get("st-owner", "")),
                "ready" if one.ready else "failed" if one.failed else "unfinished",
            )
            for one in found
        ]
        table(head, rows)
    else:
        line(f"no images of ours on the cloud {ports.cloud}")


def _remove(ports: AdminPorts, name: str, *, as_json: bool) -> None:
    from support_tunnel.flows.admin.bake import remove_image

    removed = remove_image(ports, name)
    if as_json:
        emit({"cloud": ports.cloud, "removed": removed.name})
    else:
        line(f"removed: {removed.name}")


def _row(image: Image) -> dict[str, object]:
    return {
        "image": image.name,
        "word": image.word,
        "ready": image.ready,
        "made": _made(image),
        "owner": image.tags.get("st-owner", ""),
    }


def _made(image: Image) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(image.tags.get("st-made", "")), UTC)
    except (ValueError, OverflowError, OSError):
        return None  # somebody wrote it who is not us
