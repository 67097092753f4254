"""What `fab doctor` asks Vultr. What a key may is in the account's `acls`; limits it tells nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support_tunnel.adapters.clouds.row import Look, Told, Wanted
from support_tunnel.core.cloud_health import judge_offered, judge_right, judge_room
from support_tunnel.core.device_health import Check

__all__ = ["LOOKS"]

_RIGHTS = ("provisioning", "firewall")
"""Vultr's words for what its console calls otherwise (the row's `permissions`)."""


def _region(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_offered("region", wanted.region, [place.id for place in driver.list_locations()])


def _size(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    plans = driver._paginated_request("/v2/plans", "plans")
    offered = [plan["id"] for plan in plans if wanted.region in plan["locations"]]
    yield judge_offered("size", wanted.size, offered, f"in {wanted.region}")


def _image(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    """By its name or its number."""
    offered = {str(word) for image in driver.list_images() for word in (image.id, image.name)}
    yield judge_offered("image", wanted.image, offered)


def _quota(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_room(())


def _rights(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    held = driver.connection.request("/v2/account").object["account"].get("acls")
    for right in _RIGHTS:
        yield judge_right(right, right in held if held else None, "the cloud did not name the rights of this key")


LOOKS = (
    Look("region", _region),
    Look("size", _size),
    Look("image", _image, of_region=False),
    Look("quota", _quota, of_region=False),
    Look("permissions", _rights, "the right to see the account", of_region=False),
)
