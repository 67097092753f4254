"""What `fab doctor` asks Google: quotas as a region has them, and rights by the call that is there for it (`testIamPermissions`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support_tunnel.adapters.clouds.looking import there
from support_tunnel.adapters.clouds.row import Look, Told, Wanted
from support_tunnel.core.cloud_health import Room, judge_offered, judge_right, judge_room, judge_there
from support_tunnel.core.device_health import Check

__all__ = ["LOOKS"]

_API = "https://compute.googleapis.com/compute/v1"


def _region(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_offered("region", wanted.region, [place.name for place in driver.list_locations()])


def _size(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    found = there(lambda: _machine(driver, wanted))
    yield judge_there("size", wanted.size, found, f"in {wanted.region}")


def _machine(driver: Any, wanted: Wanted) -> dict[str, Any]:
    found: dict[str, Any] = driver.ex_look(f"/zones/{wanted.region}/machineTypes/{wanted.size}")
    return found


def _image(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    """Its name as an instance is made with it: a whole address, or one below `projects/` or below the project."""
    image = wanted.image
    path = (
        image if image.startswith("https://") else f"{_API}/{image}" if image.startswith("projects/") else f"/{image}"
    )
    yield judge_there("image", image, there(lambda: driver.ex_look(path)))


def _quota(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    region = driver.ex_look(f"/regions/{wanted.region.rpartition('-')[0]}")
    cores = [1.0]
    there(lambda: cores.append(float(_machine(driver, wanted)["guestCpus"])))
    needs = {"INSTANCES": 1.0, "IN_USE_ADDRESSES": 1.0, "CPUS": cores[-1]}
    yield judge_room(
        Room(quota["metric"], quota["usage"], quota["limit"], needs[quota["metric"]])
        for quota in region.get("quotas", [])
        if quota["metric"] in needs
    )


def _rights(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    held = driver.ex_held(wanted.rights, told["endpoint"])
    for right in wanted.rights:
        yield judge_right(right, right in held)


LOOKS = (
    Look("region", _region),
    Look("size", _size, "compute.machineTypes.get"),
    Look("image", _image, of_region=False),
    Look("quota", _quota, "compute.regions.get"),
    Look("permissions", _rights, "the Cloud Resource Manager API of the project", of_region=False),
)
