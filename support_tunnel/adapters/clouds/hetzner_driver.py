"""Hetzner Cloud as a libcloud driver, which libcloud 3.9.1 has none of: what tunnel servers need and no more.

Paths and bodies: Hetzner's API reference, v1 (docs.hetzner.cloud).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from libcloud.common.base import ConnectionKey, JsonResponse
from libcloud.common.exceptions import RateLimitReachedError
from libcloud.common.types import InvalidCredsError, MalformedResponseError, ProviderError
from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeLocation, NodeSize
from libcloud.compute.types import NodeState
from libcloud.utils.iso8601 import parse_date

from support_tunnel.adapters.clouds.pages import Page, whole

__all__ = ["HetznerDriver"]


class _Response(JsonResponse):  # type: ignore[misc]  # libcloud has no types
    def success(self) -> bool:
        return bool(200 <= self.status < 300)

    def parse_error(self) -> None:
        """Raise with the provider's own code and message, and nothing of what was sent."""
        try:
            told = json.loads(self.body)["error"]
            said = f"{told['code']}: {told['message']}"
        except (ValueError, KeyError, TypeError):
            said = f"status {self.status}"
        if self.status == 401:
            raise InvalidCredsError(said, driver=self.connection.driver)
        if self.status == 429:
            raise RateLimitReachedError(headers=self.headers)
        raise ProviderError(said, self.status, self.connection.driver)


class _Connection(ConnectionKey):  # type: ignore[misc]  # libcloud has no types
    host = "api.hetzner.cloud"
    responseCls = _Response

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def encode_data(self, data: Mapping[str, Any]) -> str:
        return json.dumps(data)


class HetznerDriver(NodeDriver):  # type: ignore[misc]  # libcloud has no types
    type = "hetzner"
    name = "Hetzner Cloud"
    api_name = "hetzner"
    website = "https://www.hetzner.com/cloud"
    connectionCls = _Connection
    features: ClassVar[dict[str, list[str]]] = {"create_node": []}
    NODE_STATE_MAP: ClassVar[dict[str, Any]] = {
        "initializing": NodeState.PENDING,
        "starting": NodeState.STARTING,
        "running": NodeState.RUNNING,
        "stopping": NodeState.STOPPING,
        "off": NodeState.STOPPED,
        "deleting": NodeState.STOPPING,
        "rebuilding": NodeState.RECONFIGURING,
        "migrating": NodeState.MIGRATING,
    }

    def list_sizes(self, location: NodeLocation | None = None) -> list[NodeSize]:
        return [self._to_size(size) for size in self._all("/server_types", "server_types")]

    def list_images(self, location: NodeLocation | None = None) -> list[NodeImage]:
        """Hetzner's own and those that we made; what somebody else keeps there is none of a tunnel's."""
        found = [*self._all("/images", "images", type="system"), *self.ex_snapshots("st-image")]
        return [NodeImage(image["name"] or image["id"], image["description"], self, extra=image) for image in found]

    def ex_snapshot(self, node: Node, name: str, labels: Mapping[str, str]) -> None:
        body = {"type": "snapshot", "description": name, "labels": dict(labels)}
        self._api("POST", f"/servers/{node.id}/actions/create_image", body)

    def ex_snapshots(self, label_selector: str) -> list[dict[str, Any]]:
        return self._all("/images", "images", type="snapshot", label_selector=label_selector)

    def ex_remove_image(self, number: str) -> None:
        self._api("DELETE", f"/images/{number}")

    def list_locations(self) -> list[NodeLocation]:
        found = self._all("/locations", "locations")
        return [NodeLocation(place["name"], place["description"], place["country"], self) for place in found]

    def list_nodes(self, ex_label_selector: str = "") -> list[Node]:
        params = {"label_selector": ex_label_selector} if ex_label_selector else {}
        return [self._to_node(server) for server in self._all("/servers", "servers", **params)]

    def create_node(
        self,
        name: str,
        size: NodeSize,
        image: NodeImage,
        location: NodeLocation | None = None,
        ex_userdata: str = "",
        ex_labels: Mapping[str, str] | None = None,
        ex_firewalls: tuple[int, ...] = (),
        ex_ipv4: bool = True,
        ex_networks: tuple[int, ...] = (),
    ) -> Node:
        """Start a server. `ex_ipv4` False saves the address's own price."""
        body: dict[str, Any] = {
            "name": name,
            "server_type": size.id,
            "image": image.id,
            "start_after_create": True,
            "labels": dict(ex_labels or {}),
            "firewalls": [{"firewall": number} for number in ex_firewalls],
            "public_net": {"enable_ipv4": ex_ipv4, "enable_ipv6": True},
        }
        if location is not None:
            body["location"] = location.id
        if ex_networks:
            body["networks"] = list(ex_networks)
        if ex_userdata:
            body["user_data"] = ex_userdata
        return self._to_node(self._api("POST", "/servers", body)["server"])

    def destroy_node(self, node: Node) -> bool:
        """Gone already counts as done."""
        try:
            self._api("DELETE", f"/servers/{node.id}")
        except ProviderError as error:
            if error.http_code != 404:
                raise
        return True

    def reboot_node(self, node: Node) -> bool:
        return bool(self._api("POST", f"/servers/{node.id}/actions/reboot", {}))

    def ex_image(self, number: str) -> dict[str, Any]:
        found: dict[str, Any] = self._api("GET", f"/images/{number}")["image"]
        return found

    def ex_firewalls(self, label_selector: str) -> list[dict[str, Any]]:
        return self._all("/firewalls", "firewalls", label_selector=label_selector)

    def ex_open_firewall(self, name: str, rules: list[dict[str, Any]], labels: Mapping[str, str]) -> int:
        """Return its number."""
        body = {"name": name, "rules": rules, "labels": dict(labels)}
        return int(self._api("POST", "/firewalls", body)["firewall"]["id"])

    def ex_close_firewall(self, number: str) -> None:
        self._api("DELETE", f"/firewalls/{number}")

    def _api(self, method: str, path: str, body: Mapping[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        answer = self.connection.request(f"/v1{path}", method=method, data=body, params=params).object
        if not isinstance(answer, dict):
            if method == "DELETE" and not answer:
                return {}  # a 204 has no body
            raise MalformedResponseError("an answer that is no object", body="", driver=self)
        return answer

    def _all(self, path: str, what: str, **params: Any) -> list[dict[str, Any]]:
        def ask(page: int) -> Page:
            answer = self._api("GET", path, page=page, per_page=50, **params)
            told = (answer.get("meta") or {}).get("pagination") or {}
            return Page(answer[what], told.get("next_page"), told.get("total_entries", -1))

        return whole(ask, 1)

    def _to_size(self, size: Mapping[str, Any]) -> NodeSize:
        extra = {"cpus": size["cores"], "prices": size["prices"]}
        return NodeSize(
            size["name"], size["name"], int(size["memory"] * 1024), size["disk"], None, None, self, extra=extra
        )

    def _to_node(self, server: Mapping[str, Any]) -> Node:
        public = server["public_net"]
        addresses = [public["ipv4"]["ip"]] if public.get("ipv4") else []
        if public.get("ipv6"):
            addresses.append(public["ipv6"]["ip"].partition("/")[0] + "1")  # a /64 is given, its ::1 is the server's
        return Node(
            str(server["id"]),
            server["name"],
            self.NODE_STATE_MAP.get(server["status"], NodeState.UNKNOWN),
            addresses,
            [network["ip"] for network in server.get("private_net", [])],
            self,
            extra={"labels": server["labels"]},
            created_at=parse_date(server["created"]),
        )
