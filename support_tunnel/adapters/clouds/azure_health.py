"""What `fab doctor` asks Azure: sizes with what keeps them from this subscription, usages of its region, and the rights that it lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from support_tunnel.adapters.clouds.looking import there
from support_tunnel.adapters.clouds.row import Look, Told, Wanted
from support_tunnel.core.cloud_health import Room, judge_offered, judge_right, judge_room, judge_there
from support_tunnel.core.device_health import Check

__all__ = ["LOOKS"]

_COMPUTE = "/providers/Microsoft.Compute"
_SIZES, _REST, _RIGHTS = "2021-07-01", "2023-09-01", "2022-04-01"
"""Versions of the APIs that are asked."""


def _region(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_offered("region", wanted.region, [place.id for place in driver.list_locations()])


def _size(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    """A size may be there and not for this subscription, until somebody asks Microsoft for it."""
    sizes = _sizes(driver, wanted)
    size = sizes.get(wanted.size)
    kept = [
        str(one.get("reasonCode")) for one in (size or {}).get("restrictions") or [] if one.get("type") == "Location"
    ]
    if size is None or not kept:
        yield judge_offered("size", wanted.size, sizes, f"in {wanted.region}")
        return
    said = f"this subscription may not have {wanted.size} in {wanted.region} ({', '.join(kept)})"
    yield Check(
        "size", "fail", said, "Put another one into `size` of this cloud in the inventory, or ask Microsoft for it."
    )


def _sizes(driver: Any, wanted: Wanted) -> Mapping[str, Mapping[str, Any]]:
    found = driver.ex_list(f"{_COMPUTE}/skus", _SIZES, f"location eq '{wanted.region}'")
    return {one["name"]: one for one in found if one["resourceType"] == "virtualMachines"}


def _image(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    publisher, offer, sku, version = (*wanted.image.split(":"), "", "", "", "")[:4]
    path = f"{_COMPUTE}/locations/{wanted.region}/publishers/{publisher}/artifacttypes/vmimage/offers/{offer}/skus/{sku}/versions"
    found: list[str] = []
    there(lambda: found.extend(one["name"] for one in driver.ex_look(path, _REST)))
    whole = bool(version) and (version in found or (version == "latest" and bool(found)))
    yield judge_there("image", wanted.image, whole, f"in {wanted.region}")


def _quota(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    size = _sizes(driver, wanted).get(wanted.size, {})
    has = {one["name"]: one["value"] for one in size.get("capabilities") or []}
    cores = float(has.get("vCPUs", 1))
    needs = {"cores": cores, "virtualMachines": 1.0, str(size.get("family")): cores}
    usages = driver.ex_list(f"{_COMPUTE}/locations/{wanted.region}/usages", _REST)
    yield judge_room(
        Room(one["name"]["value"], one["currentValue"], one["limit"], needs[one["name"]["value"]])
        for one in usages
        if one["name"]["value"] in needs
    )


def _rights(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    given = driver.ex_list("/providers/Microsoft.Authorization/permissions", _RIGHTS)
    for right in wanted.rights:
        held = any(_among(right, one["actions"]) and not _among(right, one.get("notActions") or []) for one in given)
        yield judge_right(right, held)


def _among(right: str, patterns: Sequence[str]) -> bool:
    """Azure's patterns: `*` stands for anything, capitals for nothing."""
    return any(re.fullmatch(re.escape(one).replace(r"\*", ".*"), right, re.IGNORECASE) for one in patterns)


LOOKS = (
    Look("region", _region),
    Look("size", _size, "Microsoft.Compute/skus/read"),
    Look("image", _image, "Microsoft.Compute/locations/publishers/artifacttypes/offers/skus/versions/read"),
    Look("quota", _quota, "Microsoft.Compute/locations/usages/read and Microsoft.Compute/skus/read"),
    Look("permissions", _rights, "Microsoft.Authorization/permissions/read", of_region=False),
)
