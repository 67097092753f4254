"""libcloud's driver of DigitalOcean, with what it lacks: arguments of its constructor, a list by tag, firewalls and tags.

Bodies and paths of the raw calls: DigitalOcean's API reference, v2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from libcloud.compute.base import Node
from libcloud.compute.drivers.digitalocean import DigitalOcean_v2_NodeDriver

from support_tunnel.adapters.clouds.pages import Page, whole

__all__ = ["DigitalOceanDriver"]


class DigitalOceanDriver(DigitalOcean_v2_NodeDriver):  # type: ignore[misc]  # libcloud has no types
    # What is not in its list is dropped without a word.
    EX_CREATE_ATTRIBUTES: ClassVar[list[str]] = [
        *DigitalOcean_v2_NodeDriver.EX_CREATE_ATTRIBUTES,
        "monitoring",
        "vpc_uuid",
        "with_droplet_agent",
    ]

    def __new__(cls, *_: object, **__: object) -> DigitalOceanDriver:
        # The driver's own passes every keyword on to object.__new__, which takes none.
        made: DigitalOceanDriver = object.__new__(cls)
        return made

    def ex_list_by_tag(self, tag: str) -> list[Node]:
        return [self._to_node(droplet) for droplet in self._pages("/v2/droplets", "droplets", tag_name=tag)]

    def ex_firewalls(self) -> list[dict[str, Any]]:
        return self._pages("/v2/firewalls", "firewalls")

    def ex_open_firewall(self, body: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._send("POST", "/v2/firewalls", body).object["firewall"]
        return found

    def ex_close_firewall(self, firewall_id: str) -> None:
        self._send("DELETE", f"/v2/firewalls/{firewall_id}")

    def ex_snapshot(self, node: Node, name: str) -> None:
        self._send("POST", f"/v2/droplets/{node.id}/actions", {"type": "snapshot", "name": name})

    def ex_snapshots(self) -> list[dict[str, Any]]:
        return self._pages("/v2/snapshots", "snapshots", resource_type="droplet")

    def ex_remove_snapshot(self, number: str) -> None:
        self._send("DELETE", f"/v2/snapshots/{number}")

    def ex_make_tag(self, name: str) -> None:
        """Making one that is there is fine."""
        self._send("POST", "/v2/tags", {"name": name})

    def ex_tags(self) -> list[tuple[str, int]]:
        """All of the account, each with how many things carry it; -1 where that is not said."""
        found = self._pages("/v2/tags", "tags")
        return [(tag["name"], (tag.get("resources") or {}).get("count", -1)) for tag in found]

    def ex_remove_tag(self, name: str) -> None:
        self._send("DELETE", f"/v2/tags/{name}")

    def ex_look(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._send("GET", path).object
        return found

    def ex_end_droplet(self, number: int) -> None:
        self._send("DELETE", f"/v2/droplets/{number}")

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self.connection.request(path, method=method, data=json.dumps(body) if body is not None else None)

    def _pages(self, path: str, what: str, **params: str) -> list[dict[str, Any]]:
        def ask(page: int) -> Page:
            answer = self.connection.request(path, params={**params, "page": page}).object
            more = answer.get("links", {}).get("pages", {}).get("next")
            return Page(answer[what], page + 1 if more else None, answer["meta"]["total"])

        return whole(ask, 1)
