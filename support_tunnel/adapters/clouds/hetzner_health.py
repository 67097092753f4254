"""What `fab doctor` asks Hetzner. A token there reads, or does everything; its limits Hetzner tells nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support_tunnel.adapters.cloud_failure import classify
from support_tunnel.adapters.clouds.looking import there
from support_tunnel.adapters.clouds.row import Look, Told, Wanted
from support_tunnel.core.cloud_health import judge_offered, judge_right, judge_room, judge_there
from support_tunnel.core.device_health import Check

__all__ = ["LOOKS"]

_NO_FIREWALL = "0"


def _region(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_offered("region", wanted.region, [place.id for place in driver.list_locations()])


def _size(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    offered = [
        size.id
        for size in driver.list_sizes()
        if wanted.region in [price["location"] for price in size.extra["prices"]]
    ]
    yield judge_offered("size", wanted.size, offered, f"in {wanted.region}")


def _image(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    """A number is an image of one's own."""
    if wanted.image.isdigit():
        yield judge_there("image", wanted.image, there(lambda: driver.ex_image(wanted.image)))
    else:
        yield judge_offered("image", wanted.image, [str(image.id) for image in driver.list_images()])


def _quota(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    yield judge_room(())


def _rights(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    """Hetzner refuses whatever is no GET by its method alone (`token_readonly`): so its word on ending nothing is its word on all."""
    try:
        there(lambda: driver.ex_close_firewall(_NO_FIREWALL))
    except Exception as error:  # drivers raise bare ones too; all but a refusal goes on up
        if classify(error) != "forbidden":
            raise
        yield judge_right("Read & Write", held=False)
    else:
        yield judge_right("Read & Write", held=True)


LOOKS = (
    Look("region", _region),
    Look("size", _size),
    Look("image", _image, of_region=False),
    Look("quota", _quota, of_region=False),
    Look("permissions", _rights, of_region=False),
)
