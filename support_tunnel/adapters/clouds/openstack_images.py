"""Images of ours on an OpenStack, by its compute endpoint: private ones of the project, with our tags as metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support_tunnel.adapters.clouds.pages import Page, whole
from support_tunnel.adapters.clouds.row import Baking, Told
from support_tunnel.core.ports import Image

__all__ = ["BAKING"]


def _make(driver: Any, node: Any, name: str, tags: Mapping[str, str], told: Told) -> None:
    body = {"createImage": {"name": name, "metadata": dict(tags)}}
    driver.connection.request(f"/servers/{node.id}/action", method="POST", data=body)


def _listed(driver: Any, told: Told) -> list[Image]:
    def ask(marker: str) -> Page:
        params = {"marker": marker} if marker else {}
        answer = driver.connection.request("/images/detail", params=params).object
        following = [link["href"] for link in answer.get("images_links") or [] if link["rel"] == "next"]
        return Page(answer["images"], dict(parse_qsl(urlsplit(following[0]).query))["marker"] if following else None)

    return [
        Image(
            str(one["id"]),
            str(one["name"]),
            str(one["id"]),
            one["status"] == "ACTIVE",
            dict(one["metadata"]),
            failed=one["status"] in ("ERROR", "UNKNOWN"),
        )
        for one in whole(ask, "")
        if one["status"] != "DELETED"
    ]


def _remove(driver: Any, image: str, told: Told) -> None:
    driver.connection.request(f"/images/{image}", method="DELETE")


BAKING = Baking(
    make=_make,
    listed=_listed,
    remove=_remove,
    rights="access rules: POST `/v2.1/servers/*/action`, GET `/v2.1/images/detail`, DELETE `/v2.1/images/*`",
)
