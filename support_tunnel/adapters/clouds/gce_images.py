"""Images of ours at Google, in the project: made of the disk of an instance that is off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support_tunnel.adapters.clouds import words
from support_tunnel.adapters.clouds.row import Baking, Told
from support_tunnel.core.ports import Image

__all__ = ["BAKING"]


def _make(driver: Any, node: Any, name: str, tags: Mapping[str, str], told: Told) -> None:
    # A boot disk that was not given a name has its instance's.
    disk = f"zones/{node.extra['zone']}/disks/{node.name}"
    driver.ex_make_image(
        {"name": name, "sourceDisk": f"projects/{told['project']}/{disk}", "labels": words.labels(tags)}
    )


def _listed(driver: Any, told: Told) -> list[Image]:
    return [
        Image(
            one["name"],
            one["name"],
            f"projects/{told['project']}/global/images/{one['name']}",
            one.get("status") == "READY",
            words.tags_of(one.get("labels")),
            failed=one.get("status") == "FAILED",
        )
        for one in driver.ex_images("st-image")
    ]


BAKING = Baking(
    make=_make,
    listed=_listed,
    remove=lambda driver, name, told: driver.ex_remove_image(name),
    rights="`compute.images.create`, `compute.images.list`, `compute.images.delete`, `compute.images.setLabels`, `compute.images.useReadOnly`, `compute.disks.useReadOnly`",
)
