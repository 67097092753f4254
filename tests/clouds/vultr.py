"""Vultr with state: instances as it really answered with them; the rest by its published API reference."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.clouds.gate import Answer, Request
from tests.clouds.rest import Rest, answer, recorded

__all__ = ["Vultr"]


def _error(status: int, text: str) -> tuple[int, object]:
    return status, {"error": text, "status": status}


class Vultr(Rest):
    name = "vultr"
    creating = "POST /v2/instances"
    listing = "GET /v2/instances"
    destroying = r"DELETE /v2/instances/[\w-]+"
    refusals: ClassVar[Mapping[str, tuple[int, object]]] = {
        "auth": _error(401, "Invalid API token."),
        "quota": _error(400, "Server add failed: You have reached the maximum monthly fee limit for this account."),
        "rate": _error(429, "Rate limit reached"),
        "bad-request": _error(400, "Invalid plan chosen."),
        "retry": _error(500, "Internal server error"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.routes = [
            (self.creating, self._create),
            (self.listing, lambda request: self._listed(request, "instances", list(self.servers.values()))),
            (r"DELETE /v2/instances/([\w-]+)", self._destroy),
            ("POST /v2/firewalls", self._open),
            (
                "GET /v2/firewalls",
                lambda request: self._listed(request, "firewall_groups", list(self.firewalls.values())),
            ),
            (r"POST /v2/firewalls/([\w-]+)/rules", self._rule),
            (r"GET /v2/firewalls/([\w-]+)/rules", self._rules),
            (r"DELETE /v2/firewalls/([\w-]+)", self._close),
            ("GET /v2/regions", lambda _: answer(200, recorded("vultr_v2/list_locations.json"))),
            ("GET /v2/plans", lambda _: answer(200, recorded("vultr_v2/list_sizes.json"))),
            (
                "GET /v2/account",
                lambda _: answer(200, {"account": {"name": "x", "email": "x", "acls": self._acls(), "balance": 0}}),
            ),
            ("GET /v2/os", lambda request: self._listed(request, "os", [_DEBIAN])),
        ]

    def _acls(self) -> list[str]:
        return [right for right in ("subscriptions", "provisioning", "firewall") if right not in self.lacks]

    def settings(self, url: str) -> dict[str, str]:
        return {"token": "canary-token", "region": "fra", "endpoint": url}

    def not_found(self) -> object:
        return {"error": "Invalid resource", "status": 404}

    def foreign(self, name: str) -> str:
        return str(self._make({"label": name, "tags": ["web"]})["id"])

    def foreign_wall(self, name: str) -> str:
        rule = {"ip_type": "v4", "protocol": "tcp", "port": "80", "subnet": "192.0.2.0", "subnet_size": 24, "id": 1}
        self.firewalls["c4a0-1"] = {"id": "c4a0-1", "description": f"{name} of the web team", "rules": [rule]}
        return "c4a0-1"

    def let_in(self, wall: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
        for rule in wall["rules"]:
            yield rule["protocol"], int(rule["port"]), f"{rule['subnet']}/{rule['subnet_size']}"

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        made = copy.deepcopy(recorded("vultr_v2/list_nodes.json")["instances"][0])
        number = f"4f0f12e5-{next(self.numbers)}"
        made |= {"id": number, "label": asked["label"], "tags": asked["tags"]}
        if asked.get("enable_ipv6"):
            made |= {"v6_network": "2001:19f0:5:1::", "v6_main_ip": "2001:19f0:5:1::64", "v6_network_size": 64}
            if asked.get("disable_public_ipv4"):
                made |= {"main_ip": "0.0.0.0", "netmask_v4": "", "gateway_v4": ""}  # noqa: S104 - its word for none
        made["firewall_group_id"] = asked.get("firewall_group_id", "")
        self.servers[number] = made
        return dict(made)

    def _create(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        if asked["os_id"] != _DEBIAN["id"]:
            return answer(*_error(400, "Invalid OS"))
        return answer(202, {"instance": self._make(asked)})

    def _listed(self, request: Request, what: str, found: list[Any]) -> Answer:
        """A page begins after an id."""
        size = self.page_size
        rest = [one for one in found if str(one["id"]) > request.query.get("cursor", "")]
        following = str(rest[size - 1]["id"]) if rest[size:] else ""
        return answer(200, {what: rest[:size], "meta": {"total": len(found), "links": {"next": following, "prev": ""}}})

    def _destroy(self, _: Request, number: str) -> Answer:
        return answer(204) if self.servers.pop(number, None) else answer(404, self.not_found())

    def _open(self, request: Request) -> Answer:
        number = f"c4a0-{next(self.numbers)}"
        described = json.loads(request.body)["description"]
        self.firewalls[number] = {"id": number, "description": described, "rules": []}
        return answer(201, {"firewall_group": self.firewalls[number]})

    def _rule(self, request: Request, number: str) -> Answer:
        rule = {"id": next(self.numbers), **json.loads(request.body)}
        self.firewalls[number]["rules"].append(rule)
        return answer(201, {"firewall_rule": rule})

    def _rules(self, request: Request, number: str) -> Answer:
        return self._listed(request, "firewall_rules", self.firewalls[number]["rules"])

    def _close(self, _: Request, number: str) -> Answer:
        if any(server["firewall_group_id"] == number for server in self.servers.values()):
            return answer(*_error(400, "This firewall group is in use by a server"))
        return answer(204) if self.firewalls.pop(number, None) else answer(404, self.not_found())


_DEBIAN = {"id": 2625, "name": "Debian 13 x64 (trixie)", "arch": "x64", "family": "debian"}
