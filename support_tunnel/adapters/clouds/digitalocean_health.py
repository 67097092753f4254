"""What `fab doctor` asks DigitalOcean. No call of its API lists a token's scopes: what may be read is read, and what may be deleted is
asked of things that cannot exist."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from support_tunnel.adapters.clouds.looking import NOT_TOLD, ends_nothing, may_read, there
from support_tunnel.adapters.clouds.row import Look, Told, Wanted
from support_tunnel.core.cloud_health import Room, judge_offered, judge_right, judge_room, judge_there
from support_tunnel.core.device_health import Check

__all__ = ["LOOKS"]

_NO_FIREWALL = "00000000-0000-0000-0000-000000000000"


def _region(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_offered("region", wanted.region, [place.id for place in driver.list_locations()])


def _size(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    offered = [size.id for size in driver.list_sizes() if wanted.region in size.extra["regions"]]
    yield judge_offered("size", wanted.size, offered, f"in {wanted.region}")


def _image(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    regions: list[str] = []
    there(lambda: regions.extend(driver.ex_look(f"/v2/images/{wanted.image}")["image"]["regions"]))
    yield judge_there("image", wanted.image, wanted.region in regions, f"in {wanted.region}")


def _quota(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    most = driver.ex_look("/v2/account")["account"]["droplet_limit"]
    used = driver.ex_look("/v2/droplets")["meta"]["total"]
    yield judge_room([Room("droplets", used, most)])


def _rights(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    read: Mapping[str, Callable[[], object]] = {
        "droplet:read": lambda: driver.ex_look("/v2/droplets"),
        "firewall:read": driver.ex_firewalls,
        "tag:read": lambda: driver.ex_look("/v2/tags"),
        "regions:read": lambda: driver.ex_look("/v2/regions"),
        "sizes:read": lambda: driver.ex_look("/v2/sizes"),
        "image:read": lambda: driver.ex_look(f"/v2/images/{wanted.image}"),
    }
    ended: Mapping[str, Callable[[], object]] = {
        "droplet:delete": lambda: driver.ex_end_droplet(0),
        "firewall:delete": lambda: driver.ex_close_firewall(_NO_FIREWALL),
        "tag:delete": lambda: driver.ex_remove_tag(f"st-doctor:{secrets.token_hex(16)}"),
    }
    for right in wanted.rights:
        if right in read:
            yield may_read(right, read[right])
        elif right in ended:
            yield ends_nothing(right, ended[right])
        else:
            yield judge_right(right, None, NOT_TOLD)


LOOKS = (
    Look("region", _region),
    Look("size", _size),
    Look("image", _image),
    Look("quota", _quota, "account:read", of_region=False),
    Look("permissions", _rights, of_region=False),
)
