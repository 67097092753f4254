"""Images of ours at DigitalOcean: snapshots, which take no tags when they are made, so their name holds who made them and when.

One that is still being made is not listed yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from support_tunnel.adapters.clouds import words
from support_tunnel.adapters.clouds.row import Baking, Told
from support_tunnel.core.ports import Image

__all__ = ["BAKING"]

_NAME = re.compile(r"(support-tunnel-image-[0-9a-f]{8})\.(\d+)\.(.*)")


def _make(driver: Any, node: Any, name: str, tags: Mapping[str, str], told: Told) -> None:
    driver.ex_snapshot(node, f"{name}.{tags['st-made']}.{words.spoken(tags['st-owner'], 100)}")


def _listed(driver: Any, told: Told) -> list[Image]:
    found = []
    for one in driver.ex_snapshots():
        if ours := _NAME.fullmatch(str(one["name"])):
            name, made, owner = ours.groups()
            tags = {"st-image": name, "st-made": made, "st-owner": words.heard(owner)}
            found.append(Image(str(one["id"]), name, str(one["id"]), ready=True, tags=tags))
    return found


BAKING = Baking(
    make=_make,
    listed=_listed,
    remove=lambda driver, number, told: driver.ex_remove_snapshot(number),
    rights="`droplet:update`, `snapshot:read`, `snapshot:delete`",
)
