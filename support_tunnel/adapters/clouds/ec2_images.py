"""Images of ours at Amazon: AMIs, each with the snapshot of a disk that costs until it is removed by itself.

The instance is not turned off before: its own power-off would terminate it. Amazon reboots it while it copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support_tunnel.adapters.clouds.row import Baking, Told
from support_tunnel.core.ports import Image

__all__ = ["BAKING"]

_KINDS = ("image", "snapshot")


def _make(driver: Any, node: Any, name: str, tags: Mapping[str, str], told: Told) -> None:
    params = {"Action": "CreateImage", "InstanceId": node.id, "Name": name, "Description": "support-tunnel"}
    for number, kind in enumerate(_KINDS, start=1):
        params[f"TagSpecification.{number}.ResourceType"] = kind
        for tag, (key, value) in enumerate(tags.items(), start=1):
            params[f"TagSpecification.{number}.Tag.{tag}.Key"] = key
            params[f"TagSpecification.{number}.Tag.{tag}.Value"] = value
    driver.connection.request(driver.path, params=params)


def _listed(driver: Any, told: Told) -> list[Image]:
    """With the snapshots of ours that belong to no image: what a removal leaves that was broken off between the two."""
    found = _images(driver)
    held = {snapshot for image in found for snapshot in _snapshots(image)}
    images = [
        Image(
            str(image.id),
            str(image.name),
            str(image.id),
            image.extra["state"] == "available",
            dict(image.extra["tags"]),
            failed=image.extra["state"] in ("failed", "error", "invalid"),
        )
        for image in found
    ]
    loose = [
        Image(str(one.id), str(one.extra["tags"]["st-image"]), str(one.id), ready=False, tags=dict(one.extra["tags"]))
        for one in driver.list_snapshots(owner="self")
        if "st-image" in one.extra["tags"] and one.id not in held
    ]
    return [*images, *loose]


def _images(driver: Any) -> list[Any]:
    return list(driver.list_images(ex_owner="self", ex_filters={"tag-key": ["st-image"]}))


def _snapshots(image: Any) -> list[str]:
    disks = [disk.get("ebs") or {} for disk in image.extra["block_device_mapping"]]
    return [str(disk["snapshot_id"]) for disk in disks if disk.get("snapshot_id")]


def _remove(driver: Any, image_id: str, told: Told) -> None:
    """By the list, which says nothing of an image that is gone: asked for by its id, that is an error."""
    snapshots = [image_id] if image_id.startswith("snap-") else []
    for image in _images(driver):
        if image.id == image_id:
            snapshots += _snapshots(image)
            driver.connection.request(driver.path, params={"Action": "DeregisterImage", "ImageId": image_id})
    for snapshot in snapshots:
        driver.connection.request(driver.path, params={"Action": "DeleteSnapshot", "SnapshotId": snapshot})


BAKING = Baking(
    make=_make,
    listed=_listed,
    remove=_remove,
    of_what_is_off=False,
    rights="`ec2:CreateImage`, `ec2:CreateTags` on images and snapshots, `ec2:DescribeSnapshots`, `ec2:DeregisterImage`, `ec2:DeleteSnapshot`",
)
