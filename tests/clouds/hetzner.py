"""Hetzner Cloud with state, held to Hetzner's own description of its API (contracts/hetzner.yml)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.clouds.contract import Contract
from tests.clouds.gate import Answer, Request
from tests.clouds.rest import Rest, answer

__all__ = ["Hetzner"]

_PAGE = {"last_page": 1, "next_page": None, "page": 1, "per_page": 50, "previous_page": None, "total_entries": 1}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


class Hetzner(Rest):
    name = "hetzner"
    creating = "POST /v1/servers"
    listing = "GET /v1/servers"
    destroying = r"DELETE /v1/servers/\d+"
    baking = r"POST /v1/servers/(\d+)/actions/create_image"
    discarding = r"DELETE /v1/images/(\d+)"
    refusals: ClassVar[Mapping[str, tuple[int, object]]] = {
        "auth": (401, _error("unauthorized", "unable to authenticate")),
        "quota": (403, _error("resource_limit_exceeded", "server limit exceeded")),
        "rate": (429, _error("rate_limit_exceeded", "limit of 3600 requests per hour reached")),
        "bad-request": (422, _error("invalid_input", "server type cx0 not found")),
        "retry": (500, _error("server_error", "internal error")),
    }

    def __init__(self) -> None:
        super().__init__()
        self.contract = Contract("hetzner")
        self.routes = [
            (self.creating, self._create),
            (self.listing, self._list),
            (r"DELETE /v1/servers/(\d+)", self._destroy),
            ("POST /v1/firewalls", self._open),
            ("GET /v1/firewalls", self._walls),
            (r"DELETE /v1/firewalls/(\d+)", self._close),
            ("GET /v1/server_types", lambda _: answer(200, {"server_types": [_SIZE], "meta": {"pagination": _PAGE}})),
            ("GET /v1/images", self._pictures),
            (self.baking, self._bake),
            (self.discarding, self._discard),
            ("GET /v1/locations", lambda _: answer(200, {"locations": [_PLACE], "meta": {"pagination": _PAGE}})),
        ]

    def handle(self, request: Request) -> Answer:
        if self.lacks and request.method != "GET":
            return answer(403, _error("token_readonly", "the token is only allowed to perform GET requests"))
        return super().handle(request)

    def settings(self, url: str) -> dict[str, str]:
        return {"token": "canary-token", "region": "fsn1", "endpoint": url}

    def foreign(self, name: str) -> str:
        return str(self._make({"name": name, "labels": {"team": "web"}})["id"])

    def foreign_wall(self, name: str) -> str:
        rule = {"direction": "in", "protocol": "tcp", "port": "80", "source_ips": ["0.0.0.0/0"]}
        made = {
            "id": 1,
            "name": name,
            "labels": {"team": "web"},
            "rules": [rule],
            "applied_to": [],
            "created": "2030-01-01T00:00:00+00:00",
        }
        self.firewalls["1"] = made
        return "1"

    def let_in(self, wall: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
        for rule in wall["rules"]:
            for network in rule["source_ips"]:
                yield rule["protocol"], int(rule["port"]), network

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        number = next(self.numbers)
        addresses = asked.get("public_net", {})
        server = {
            "id": number, "name": asked["name"], "labels": asked.get("labels", {}), "status": "running",
            "created": "2030-01-01T00:00:00+00:00", "private_net": [], "locked": False, "backup_window": None, "datacenter": {},
            "image": None, "included_traffic": 0, "ingoing_traffic": 0, "iso": None, "outgoing_traffic": 0, "primary_disk_size": 40,
            "protection": {"delete": False, "rebuild": False}, "rescue_enabled": False, "server_type": {},
            "public_net": {
                "floating_ips": [],
                "firewalls": [{"id": wall["firewall"], "status": "applied"} for wall in asked.get("firewalls", [])],
                "ipv4": {"ip": "9.9.9.9", "blocked": False, "dns_ptr": "x"} if addresses.get("enable_ipv4", True) else None,
                "ipv6": {"ip": "2a01:4f8:c0c:1::/64", "blocked": False, "dns_ptr": []},
            },
        }  # fmt: skip
        self.servers[str(number)] = server
        return server

    def _create(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        if refused := _wrong_label(asked):
            return refused
        if any(server["name"] == asked["name"] for server in self.servers.values()):
            return answer(409, _error("uniqueness_error", "server name is already used"))
        server = self._make(asked)
        made = {"action": _action("create_server"), "next_actions": [], "root_password": "x", "server": server}
        return answer(201, made)

    def _list(self, request: Request) -> Answer:
        found = [
            one for one in self.servers.values() if request.query.get("label_selector", "") in {"", *one["labels"]}
        ]
        return self._page(request, "servers", found)

    def _page(self, request: Request, what: str, found: list[Any]) -> Answer:
        page = int(request.query.get("page", "1"))
        end = self.page_size * page
        following = page + 1 if len(found) > end else None
        told = {**_PAGE, "page": page, "next_page": following, "total_entries": len(found)}
        return answer(200, {what: found[end - self.page_size : end], "meta": {"pagination": told}})

    def _destroy(self, _: Request, number: str) -> Answer:
        if self.servers.pop(number, None) is None:
            return answer(404, _error("not_found", f"server with ID '{number}' not found"))
        return answer(200, {"action": _action("delete_server")})

    def turn_off(self, number: str) -> None:
        self.servers[number]["status"] = "off"

    def foreign_picture(self) -> str:
        return str(self._picture("snapshot of the web team", {"team": "web"})["id"])

    def _picture(self, described: str, labels: dict[str, str]) -> dict[str, Any]:
        state = {"": "available", "failed": "unavailable"}.get(self.images_become, "creating")
        made = {**_IMAGE, "id": next(self.numbers), "name": None, "type": "snapshot", "status": state}
        self.images[str(made["id"])] = made = {**made, "description": described, "labels": labels}
        return made

    def _bake(self, request: Request, number: str) -> Answer:
        asked = json.loads(request.body)
        if number not in self.servers:
            return answer(404, _error("not_found", "no such server"))
        made = self._picture(asked["description"], asked["labels"])
        return answer(201, {"action": _action("create_image"), "image": made})

    def _pictures(self, request: Request) -> Answer:
        label, kind = request.query.get("label_selector", ""), request.query.get("type", "system")
        found = [
            one for one in (_IMAGE, *self.images.values()) if one["type"] == kind and label in {"", *one["labels"]}
        ]
        return self._page(request, "images", found)

    def _discard(self, _: Request, number: str) -> Answer:
        return answer(204) if self.images.pop(number, None) else answer(404, _error("not_found", "no such image"))

    def _open(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        if refused := _wrong_label(asked):
            return refused
        if any(wall["name"] == asked["name"] for wall in self.firewalls.values()):
            return answer(409, _error("uniqueness_error", "name is already used"))
        number = next(self.numbers)
        wall = {
            "labels": {},
            "rules": [],
            **asked,
            "id": number,
            "applied_to": [],
            "created": "2030-01-01T00:00:00+00:00",
        }
        self.firewalls[str(number)] = wall
        return answer(201, {"firewall": wall})

    def _walls(self, request: Request) -> Answer:
        found = [
            one for one in self.firewalls.values() if request.query.get("label_selector", "") in {"", *one["labels"]}
        ]
        return self._page(request, "firewalls", found)

    def _close(self, _: Request, number: str) -> Answer:
        used = [
            one for one in self.servers.values() if int(number) in [w["id"] for w in one["public_net"]["firewalls"]]
        ]
        if used:
            return answer(422, _error("resource_in_use", f"firewall with ID '{number}' is still in use"))
        return answer(204) if self.firewalls.pop(number, None) else answer(404, _error("not_found", "no such firewall"))


def _wrong_label(asked: dict[str, Any]) -> Answer | None:
    """Its reference, "Labels": at most 63 characters, a letter or digit first and last, dashes, underscores and dots between."""
    fits = re.compile(r"([a-zA-Z0-9]([\w.-]{0,61}[a-zA-Z0-9])?)?", re.ASCII)
    wrong = [value for value in asked["labels"].values() if not fits.fullmatch(value)]
    return answer(422, _error("invalid_input", "invalid input in field 'labels'")) if wrong else None


_SIZE = {
    "id": 1, "name": "cx23", "cores": 2, "cpu_type": "shared", "deprecated": False, "description": "CX23", "disk": 40, "memory": 4.0,
    "storage_type": "local",
    "prices": [{"location": "fsn1", "price_hourly": {"net": "0.0056", "gross": "0.0067"}, "price_monthly": {"net": "3.49", "gross": "4.15"}}],
}  # fmt: skip
_IMAGE = {
    "id": 1, "name": "debian-13", "architecture": "x86", "bound_to": None, "created": "2030-01-01T00:00:00+00:00", "created_from": None,
    "deleted": None, "deprecated": None, "description": "Debian 13", "disk_size": 5, "image_size": None, "labels": {},
    "os_flavor": "debian", "os_version": "13", "protection": {"delete": False}, "rapid_deploy": True, "status": "available",
    "type": "system",
}  # fmt: skip
_PLACE = {
    "id": 1, "name": "fsn1", "city": "Falkenstein", "country": "DE", "description": "Falkenstein DC Park 1", "latitude": 50.5,
    "longitude": 12.4, "network_zone": "eu-central",
}  # fmt: skip


def _action(command: str) -> dict[str, Any]:
    return {
        "id": 1, "command": command, "error": None, "finished": None, "progress": 0, "resources": [], "status": "running",
        "started": "2030-01-01T00:00:00+00:00",
    }  # fmt: skip
