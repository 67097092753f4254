"""The cloud that needs no account: hosts on this machine (docs/local-cloud.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support_tunnel.adapters.clouds.row import Baking, CloudRow, Setting, Told
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Image, ServerSpec

__all__ = ["LOCAL"]


def _connect(told: Told) -> Any:
    from libcloud.compute.providers import get_driver

    from support_tunnel.adapters import local_cloud

    local_cloud.register()
    root = [Path(told["root"])] if told.get("root") else []
    baked = {"ex_baked": Path(told["baked"])} if told.get("baked") else {}
    return get_driver("local")(*root, ex_seen=told.get("seen", ()), **baked)


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    return {
        "size": _named("size", spec.size, driver.list_sizes()),
        "image": _named("image", told.get("image") or spec.image, driver.list_images()),
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


def _address(node: Any) -> str:
    return str(node.public_ips[0]) if node.public_ips else ""


LOCAL = CloudRow(
    name="local",
    title="this machine",
    connect=_connect,
    arguments=_arguments,
    tags=lambda node: node.extra["tags"],
    address=_address,
    genuine=lambda driver: bool(driver.list_locations()),
    settings=(
        Setting("root", "the folder that holds the cloud"),
        Setting("image", "an image that `fab bake-image` made, in place of Debian 13"),
        Setting("baked", "the folder of such images"),
    ),
    baking=Baking(
        make=lambda driver, node, name, tags, told: driver.ex_bake(node, name, tags),
        listed=lambda driver, told: [Image(one.name, one.name, one.name, True, one.tags) for one in driver.ex_baked()],
        remove=lambda driver, name, told: driver.ex_unbake(name),
    ),
    ends_itself="its memory is this machine's",
    billed_when_off=False,
    written=lambda driver, node: driver.ex_console(node),
    hourly=lambda driver, spec, told: 0.0,
)
