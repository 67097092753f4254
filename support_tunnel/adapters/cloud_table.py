"""One row a cloud: how our words become its driver's arguments. Another cloud is another row, never a branch.

A row only translates; what is done with a driver, in which order, and what a failure means is in `cloud_libcloud.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import ServerSpec

__all__ = ["CLOUDS", "CloudRow", "row"]


@dataclass(frozen=True, slots=True)
class CloudRow:
    name: str
    connect: Callable[[Mapping[str, Any]], Any]
    """Make a driver from the cloud's settings in the inventory. One a thread: drivers mix up threads' answers."""
    arguments: Callable[[Any, ServerSpec], dict[str, Any]]
    """Arguments of `create_node`, user-data and tags included."""
    tags: Callable[[Any], Mapping[str, str]]
    """The tags of a libcloud node."""
    address: Callable[[Any], str]
    genuine: Callable[[Any], bool]
    """Ask something whose true answer is never empty: a login page answered with 200 reads as "no servers" to some drivers."""
    forgotten: frozenset[str] = frozenset({"terminated"})
    """Node states that are as good as gone: some clouds list an ended server for an hour."""


def _local_driver(settings: Mapping[str, Any]) -> Any:
    from libcloud.compute.providers import get_driver

    from support_tunnel.adapters import local_cloud

    local_cloud.register()
    driver = get_driver("local")
    root = [Path(settings["root"])] if "root" in settings else []
    return driver(*root, ex_seen=settings.get("seen", ()))


def _local_arguments(driver: Any, spec: ServerSpec) -> dict[str, Any]:
    return {
        "size": _named("size", spec.size, driver.list_sizes()),
        "image": _named("image", spec.image, driver.list_images()),
        "ex_userdata": spec.user_data,
        "ex_tags": dict(spec.tags),
        "ex_expires": int(spec.expires.timestamp()),
    }


def _named(kind: str, wanted: str, offered: list[Any]) -> Any:
    for item in offered:
        if item.id == wanted:
            return item
    known = ", ".join(sorted(item.id for item in offered))
    raise UsageError("cloud.unknown-name", f"this cloud has no {kind} {wanted!r}; it has {known}")


def _first_public(node: Any) -> str:
    return str(node.public_ips[0]) if node.public_ips else ""


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        CloudRow(
            name="local",
            connect=_local_driver,
            arguments=_local_arguments,
            tags=lambda node: node.extra["tags"],
            address=_first_public,
            genuine=lambda driver: bool(driver.list_locations()),
        ),
    )
}


def row(name: str, rows: Mapping[str, CloudRow]) -> CloudRow:
    """Raises UsageError `cloud.unknown`."""
    try:
        return rows[name]
    except KeyError:
        known = ", ".join(sorted(rows))
        raise UsageError("cloud.unknown", f"there is no cloud {name!r}; there is {known}") from None
