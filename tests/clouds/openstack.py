"""OpenStack's compute with state: servers as one really answered with them, requests held to Nova's own schemas."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.clouds.contract import Contract
from tests.clouds.gate import Answer, Request
from tests.clouds.rest import Rest, answer, recorded

__all__ = ["NETWORK", "Openstack"]

NETWORK = "0d5e6a1c-6666-4666-8666-666666666666"
"""One whose subnets are IPv6 alone."""


def _error(kind: str, code: int, message: str) -> tuple[int, object]:
    return code, {kind: {"code": code, "message": message}}


class Openstack(Rest):
    name = "openstack"
    creating = r"POST /v2\.1/servers"
    listing = r"GET /v2\.1/servers/detail"
    destroying = r"DELETE /v2\.1/servers/[\w-]+"
    refusals: ClassVar[Mapping[str, tuple[int, object]]] = {
        "auth": _error("error", 401, "The request you have made requires authentication."),
        "quota": _error(
            "forbidden", 403, "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances"
        ),
        "rate": _error("overLimit", 429, "This request was rate-limited."),
        "bad-request": _error("badRequest", 400, "Invalid flavorRef provided."),
        "retry": _error(
            "computeFault", 500, "The server has either erred or is incapable of performing the operation."
        ),
    }

    def __init__(self) -> None:
        super().__init__()
        self.contract = Contract("openstack")
        self.url = ""
        self.routes = [
            (r"POST /v3/auth/tokens", self._token),
            (self.creating, self._create),
            (self.listing, self._list),
            (r"GET /v2\.1/servers/([\w-]+)", self._get),
            (r"POST /v2\.1/servers/([\w-]+)/action", self._act),
            (r"DELETE /v2\.1/servers/([\w-]+)", self._destroy),
            (r"GET /v2\.1/flavors/detail", lambda _: answer(200, {"flavors": [_FLAVOR]})),
            (r"GET /v2\.1/images/detail", self._pictures),
            (r"DELETE /v2\.1/images/([\w-]+)", self._discard),
            (r"GET /v2\.1/limits", self._limits),
            (r"POST /v2\.1/os-security-groups", self._open),
            (r"GET /v2\.1/os-security-groups", lambda _: answer(200, {"security_groups": [*self.firewalls.values()]})),
            (r"POST /v2\.1/os-security-group-rules", self._rule),
            (r"DELETE /v2\.1/os-security-groups/([\w-]+)", self._close),
        ]

    def settings(self, url: str) -> dict[str, str]:
        self.url = url
        return {
            "auth_url": url, "user": "support", "password": "canary-password", "project": "tunnels", "region": "RegionOne",
        }  # fmt: skip

    def foreign(self, name: str) -> str:
        return str(self._make({"name": name, "metadata": {"team": "web"}})["id"])

    def foreign_wall(self, name: str) -> str:
        rule = {
            "id": "1", "parent_group_id": "c1a0-1", "ip_protocol": "tcp", "from_port": 80, "to_port": 80, "group": {},
            "ip_range": {"cidr": "0.0.0.0/0"},
        }  # fmt: skip
        self.firewalls["c1a0-1"] = {
            "id": "c1a0-1",
            "name": name,
            "description": "web",
            "tenant_id": "p",
            "rules": [rule],
        }
        return "c1a0-1"

    def let_in(self, wall: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
        for rule in wall["rules"]:
            assert rule["from_port"] == rule["to_port"]
            yield rule["ip_protocol"], rule["from_port"], rule["ip_range"]["cidr"]

    def _token(self, request: Request) -> Answer:
        """A token that says whose it is, so that it can run out with the password."""
        login = json.loads(request.body)["auth"]["identity"]
        password = (
            login["password"]["user"]["password"] if "password" in login else login["application_credential"]["secret"]
        )
        endpoint = {
            "interface": "public",
            "region": "RegionOne",
            "url": f"{self.url}/v2.1",
            "id": "e",
            "region_id": "RegionOne",
        }
        token = {
            "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2020-01-01T00:00:00.000000Z", "methods": ["password"],
            "user": {"id": "u", "name": "support"}, "project": {"id": "p", "name": "tunnels"}, "roles": [{"id": "r", "name": "reader" if self.lacks else "member"}],
            "catalog": [{"type": "compute", "name": "nova", "endpoints": [endpoint]}],
        }  # fmt: skip
        made = answer(201, {"token": token})
        return Answer(made.status, made.body, headers={"X-Subject-Token": f"canary-of-{password}"})

    def _limits(self, _: Request) -> Answer:
        absolute = {
            "maxTotalInstances": 10, "totalInstancesUsed": 10 if self.full else 2, "maxTotalCores": -1, "totalCoresUsed": 4,
            "maxTotalRAMSize": 51_200, "totalRAMUsed": 4_096,
        }  # fmt: skip
        return answer(200, {"limits": {"rate": [], "absolute": absolute}})

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        made = copy.deepcopy(recorded("openstack_v1_1/_servers_detail.json")["servers"][0])
        number = f"9d3d5f6e-{next(self.numbers)}"
        made |= {
            "id": number,
            "name": asked["name"],
            "metadata": asked["metadata"],
            "status": "ACTIVE",
            "tenant_id": "p",
        }
        if asked.get("networks") == [{"uuid": NETWORK}]:
            made["addresses"] = {"six": [{"version": 6, "addr": "2a05:d014:1::5", "OS-EXT-IPS:type": "fixed"}]}
        made["security_groups"] = asked.get("security_groups", [])
        self.servers[number] = made
        return dict(made)

    def _create(self, request: Request) -> Answer:
        made = self._make(json.loads(request.body)["server"])
        return answer(202, {"server": {"id": made["id"], "links": made["links"], "adminPass": "x"}})

    def _list(self, request: Request) -> Answer:
        """By pages, as a Nova does whose `max_limit` is their size."""
        limit = self.page_size
        rest = [one for number, one in self.servers.items() if number > request.query.get("marker", "")]
        href = f"{self.url}/v2.1/servers/detail?limit={limit}&marker={rest[limit - 1]['id']}" if rest[limit:] else ""
        more = {"servers_links": [{"rel": "next", "href": href}]} if href else {}
        return answer(200, {"servers": rest[:limit], **more})

    def _get(self, _: Request, number: str) -> Answer:
        found = self.servers.get(number)
        return answer(200, {"server": found}) if found else answer(404, self.not_found())

    def _act(self, request: Request, number: str) -> Answer:
        if number not in self.servers:
            return answer(404, self.not_found())
        asked = json.loads(request.body)
        if "createImage" in asked:
            self._picture(**asked["createImage"])
            return answer(202)
        return answer(200, {"output": self.written})

    def turn_off(self, number: str) -> None:
        self.servers[number]["status"] = "SHUTOFF"

    def foreign_picture(self) -> str:
        return self._picture("web team", {"team": "web"})

    def _picture(self, name: str, metadata: dict[str, str]) -> str:
        number = f"5e1f-{next(self.numbers)}"
        state = {"": "ACTIVE", "failed": "ERROR"}.get(self.images_become, "SAVING")
        self.images[number] = {**_IMAGE, "id": number, "name": name, "metadata": metadata, "status": state}
        return number

    def _pictures(self, request: Request) -> Answer:
        """Two a page, as a Nova does whose `max_limit` is 2."""
        known: dict[str, Any] = {str(_IMAGE["id"]): _IMAGE, **self.images}
        rest = [one for number, one in known.items() if number > request.query.get("marker", "")]
        href = f"{self.url}/v2.1/images/detail?limit=2&marker={rest[1]['id']}" if rest[2:] else ""
        return answer(200, {"images": rest[:2], **({"images_links": [{"rel": "next", "href": href}]} if href else {})})

    def _discard(self, _: Request, number: str) -> Answer:
        return answer(204) if self.images.pop(number, None) else answer(404, self.not_found())

    def _destroy(self, _: Request, number: str) -> Answer:
        return answer(204) if self.servers.pop(number, None) else answer(404, self.not_found())

    def _open(self, request: Request) -> Answer:
        asked = json.loads(request.body)["security_group"]
        number = f"c1a0-{next(self.numbers)}"
        self.firewalls[number] = {**asked, "id": number, "tenant_id": "p", "rules": []}
        return answer(200, {"security_group": self.firewalls[number]})

    def _rule(self, request: Request) -> Answer:
        asked = json.loads(request.body)["security_group_rule"]
        rule = {**asked, "id": str(next(self.numbers)), "group": {}, "ip_range": {"cidr": asked["cidr"]}}
        self.firewalls[asked["parent_group_id"]]["rules"].append(rule)
        return answer(200, {"security_group_rule": rule})

    def _close(self, _: Request, number: str) -> Answer:
        wall = self.firewalls.get(number)
        if wall is None:
            return answer(404, self.not_found())
        if any(
            wall["name"] in [group["name"] for group in server["security_groups"]] for server in self.servers.values()
        ):
            return answer(*_error("badRequest", 400, f"Security Group {number} in use."))
        del self.firewalls[number]
        return answer(202)


_FLAVOR = {**recorded("openstack_v1_1/_flavors_detail.json")["flavors"][0], "id": "2", "name": "m1.small"}
_IMAGE = {
    "id": "4949f9ee", "name": "debian-13", "status": "ACTIVE", "metadata": {}, "links": [], "created": "2030-01-01T00:00:00Z",
    "updated": "2030-01-01T00:00:00Z", "progress": 100, "minRam": 0, "minDisk": 0,
}  # fmt: skip
