"""Linode with state: instances as it really answered with them; the rest by its published API reference."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.clouds.gate import Answer, Request
from tests.clouds.rest import Rest, answer, recorded

__all__ = ["Linode"]


def _error(reason: str) -> dict[str, Any]:
    return {"errors": [{"reason": reason}]}


class Linode(Rest):
    name = "linode"
    creating = "POST /v4/linode/instances"
    listing = "GET /v4/linode/instances"
    destroying = r"DELETE /v4/linode/instances/\d+"
    refusals: ClassVar[Mapping[str, tuple[int, object]]] = {
        "auth": (401, _error("Invalid Token")),
        "quota": (400, _error("Account Limit reached. Please open a support ticket.")),
        "rate": (429, _error("Too many requests")),
        "bad-request": (400, {"errors": [{"reason": "type is not valid", "field": "type"}]}),
        "retry": (500, _error("Internal Server Error")),
    }

    def __init__(self) -> None:
        super().__init__()
        self.routes = [
            (self.creating, self._create),
            (self.listing, lambda request: self._page(request, list(self.servers.values()))),
            (r"DELETE /v4/linode/instances/(\d+)", self._destroy),
            ("POST /v4/networking/firewalls", self._open),
            ("GET /v4/networking/firewalls", lambda request: self._page(request, list(self.firewalls.values()))),
            (r"DELETE /v4/networking/firewalls/(\d+)", self._close),
            (r"GET /v4/linode/types/([\w-]+)", lambda _, name: self._one("list_types", name, "g6-nanode-1")),
            (r"GET /v4/images/([\w/-]+)", lambda _, name: self._one("list_images", name, "linode/debian13")),
            ("GET /v4/regions", lambda _: answer(200, _as_of_today(recorded("linode_v4/list_locations.json")))),
        ]

    def handle(self, request: Request) -> Answer:
        """Each answer to an account names the token's scopes in its head."""
        told = super().handle(request)
        scopes = {"linodes:read_write", "firewall:read_write"} - self.lacks
        return Answer(
            told.status, told.body, told.type, {"X-OAuth-Scopes": " ".join(sorted({*scopes, "images:read_only"}))}
        )

    def _one(self, listed: str, name: str, known: str) -> Answer:
        found = {**recorded(f"linode_v4/{listed}.json")["data"][0], "id": known, "capabilities": ["cloud-init"]}
        return answer(200, found) if name == known else answer(404, self.not_found())

    def settings(self, url: str) -> dict[str, str]:
        return {"token": "canary-token", "region": "eu-central", "endpoint": url}

    def not_found(self) -> object:
        return _error("Not found")

    def foreign(self, name: str) -> str:
        return str(self._make({"label": name, "tags": ["web"]})["id"])

    def foreign_wall(self, name: str) -> str:
        rule = {"action": "ACCEPT", "protocol": "TCP", "ports": "80", "addresses": {"ipv4": ["0.0.0.0/0"]}}
        rules = {"inbound_policy": "DROP", "inbound": [rule], "outbound_policy": "ACCEPT", "outbound": []}
        self.firewalls["1"] = {"id": 1, "label": name, "tags": ["web"], "rules": rules, "status": "enabled"}
        return "1"

    def let_in(self, wall: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
        assert wall["rules"]["inbound_policy"] == "DROP"
        for rule in wall["rules"]["inbound"]:
            for networks in rule["addresses"].values():
                for network in networks:
                    yield rule["protocol"].lower(), int(rule["ports"]), network

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        made = copy.deepcopy(recorded("linode_v4/list_nodes.json")["data"][0])
        made |= {"id": next(self.numbers), "label": asked["label"], "tags": asked["tags"]}
        self.servers[str(made["id"])] = {**made, "firewall": asked.get("firewall_id")}
        return dict(made)

    def _create(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        known = {"type", "region", "image", "root_pass", "tags", "metadata", "firewall_id", "label"}
        if not known >= set(asked) or any(not 3 <= len(tag) <= 50 for tag in asked["tags"]):
            return answer(400, _error("not valid"))
        if any(server["label"] == asked["label"] for server in self.servers.values()):
            return answer(400, _error("Label must be unique among your linodes: already exists"))
        return answer(200, self._make(asked))

    def _page(self, request: Request, found: list[Any]) -> Answer:
        page = int(request.query.get("page", "1"))
        end = self.page_size * page
        pages = max(1, -(-len(found) // self.page_size))
        return answer(
            200, {"data": found[end - self.page_size : end], "page": page, "pages": pages, "results": len(found)}
        )

    def _destroy(self, _: Request, number: str) -> Answer:
        return answer(200, {}) if self.servers.pop(number, None) else answer(404, self.not_found())

    def _open(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        if not 3 <= len(asked["label"]) <= 32 or set(asked) != {"label", "tags", "rules"}:
            return answer(400, _error("label is not valid"))
        if any(wall["label"] == asked["label"] for wall in self.firewalls.values()):
            return answer(400, _error("Label must be unique: already exists"))
        number = next(self.numbers)
        self.firewalls[str(number)] = {**asked, "id": number, "status": "enabled"}
        return answer(200, self.firewalls[str(number)])

    def _close(self, _: Request, number: str) -> Answer:
        return answer(200, {}) if self.firewalls.pop(number, None) else answer(404, self.not_found())


def _as_of_today(regions: dict[str, Any]) -> dict[str, Any]:
    """The recording is older than the metadata service; ours has it now (linode/linode-api-docs 4.161.0), the others stay as they were."""
    for region in regions["data"]:
        if region["id"] == "eu-central":
            region["capabilities"] += ["Cloud Firewall", "Metadata"]
    return regions
