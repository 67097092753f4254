"""What `fab doctor` asks an OpenStack: its catalogue for the region, Nova's limits for room, the token's roles for rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support_tunnel.adapters.clouds.looking import NOT_TOLD
from support_tunnel.adapters.clouds.row import Look, Told, Wanted
from support_tunnel.core.cloud_health import Room, judge_offered, judge_right, judge_room
from support_tunnel.core.device_health import Check

__all__ = ["LOOKS", "accepted"]

_MAY, _MAY_NOT = {"member", "_member_", "manager", "admin"}, {"reader"}
"""Keystone's own roles: with the first a user makes servers, with the second alone none. What others mean each cloud decides."""


def accepted(driver: Any) -> None:
    """Get a token. That the catalogue has no such region is found by the look for it."""
    from libcloud.common.types import LibcloudError

    try:
        driver.connection._populate_hosts_and_request_paths()
    except LibcloudError:
        if driver.connection.service_catalog is None:
            raise


def _region(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    regions = driver.connection.service_catalog.get_regions(service_type="compute")
    yield judge_offered("region", wanted.region, regions)


def _size(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_offered("size", wanted.size, _words(driver.list_sizes()))


def _image(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_offered("image", wanted.image, _words(driver.list_images()))


def _words(offered: list[Any]) -> set[str]:
    """An id or a name, as the row takes both."""
    return {str(word) for one in offered for word in (one.id, one.name)}


def _quota(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    limits = driver.connection.request("/limits").object["limits"]["absolute"]
    size = next((one for one in driver.list_sizes() if wanted.size in (str(one.id), str(one.name))), None)
    cores, ram = (float(getattr(size, "vcpus", None) or 1), float(size.ram)) if size else (1.0, 0.0)
    names = (
        ("instances", "totalInstancesUsed", "maxTotalInstances", 1.0),
        ("cores", "totalCoresUsed", "maxTotalCores", cores),
        ("MB of memory", "totalRAMUsed", "maxTotalRAMSize", ram),
    )
    yield judge_room(
        Room(what, limits[used], limits[most], needs)
        for what, used, most, needs in names
        if {used, most} <= set(limits)
    )


def _rights(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    """An application credential may have fewer rights than the roles of its token (access rules), which Keystone tells nobody."""
    roles = {str(role.name).lower() for role in driver.connection.get_auth_class().auth_user_roles or []}
    if roles and roles <= _MAY_NOT:
        yield judge_right("member", held=False)
    elif told["project"] and roles & _MAY:
        yield judge_right("member", held=True)
    else:
        yield judge_right("member", None, NOT_TOLD)


LOOKS = (
    Look("region", _region),
    Look("size", _size),
    Look("image", _image),
    Look("quota", _quota, "GET /v2.1/limits"),
    Look("permissions", _rights, of_region=False),
)
