"""What `fab doctor` asks Linode. A token's scopes stand in the head of each answer (`X-OAuth-Scopes`); limits it tells nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from support_tunnel.adapters.clouds.looking import there
from support_tunnel.adapters.clouds.row import Look, Told, Wanted
from support_tunnel.core.cloud_health import judge_offered, judge_right, judge_room, judge_there
from support_tunnel.core.device_health import Check

__all__ = ["LOOKS"]


def _region(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    """In one without these a server has no ports of its own, or never reads its user-data."""
    has = {place.id: set(place.extra["capabilities"]) for place in driver.list_locations()}
    lacks = sorted({"Linodes", "Cloud Firewall", "Metadata"} - has.get(wanted.region, set()))
    if wanted.region not in has or not lacks:
        yield judge_offered("region", wanted.region, has)
        return
    fix = "Put one that has them into `region` of this cloud in the inventory."
    yield Check("region", "fail", f"the region {wanted.region} has no {', '.join(lacks)}", fix)


def _size(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_there("size", wanted.size, there(lambda: _look(driver, f"linode/types/{wanted.size}")))


def _image(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    found: list[dict[str, Any]] = []
    there(lambda: found.append(_look(driver, f"images/{wanted.image}")))
    reads = [image for image in found if "cloud-init" in (image.get("capabilities") or [])]
    yield judge_there("image", wanted.image, bool(reads), "with cloud-init")


def _quota(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_room(())


def _rights(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    """What the token has; a restricted user's own grants are not in it."""
    _look(driver, "linode/instances")
    headers = getattr(getattr(driver.connection.connection, "response", None), "headers", None) or {}
    scopes = set(re.split(r"[\s,]+", headers.get("x-oauth-scopes", "").strip())) - {""}
    for right in wanted.rights:
        if not scopes:
            yield judge_right(right, None, "the cloud did not name the token's scopes")
        else:
            yield judge_right(right, bool(scopes & {"*", right, f"{right.partition(':')[0]}:*"}))


def _look(driver: Any, path: str) -> Any:
    return driver.connection.request(f"/v4/{path}").object


LOOKS = (
    Look("region", _region),
    Look("size", _size, of_region=False),
    Look("image", _image, of_region=False),
    Look("quota", _quota, of_region=False),
    Look("permissions", _rights, of_region=False),
)
