"""Images of ours at Hetzner: snapshots, whose description is their name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from support_tunnel.adapters.clouds import words
from support_tunnel.adapters.clouds.row import Baking, Told
from support_tunnel.core.ports import Image

__all__ = ["BAKING"]


def _make(driver: Any, node: Any, name: str, tags: Mapping[str, str], told: Told) -> None:
    driver.ex_snapshot(node, name, words.labels(tags))


def _listed(driver: Any, told: Told) -> list[Image]:
    return [
        Image(
            str(one["id"]),
            str(one["description"]),
            str(one["id"]),
            one["status"] == "available",
            words.tags_of(one["labels"]),
            failed=one["status"] == "unavailable",
        )
        for one in driver.ex_snapshots("st-image")
    ]


BAKING = Baking(
    make=_make,
    listed=_listed,
    remove=lambda driver, number, told: driver.ex_remove_image(number),
    rights="the same token",
)
