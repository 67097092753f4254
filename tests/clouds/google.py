"""Google Compute Engine with state: instances as it really answered with them, held to its own discovery document."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.clouds.contract import Contract
from tests.clouds.gate import Answer, Request
from tests.clouds.rest import Rest, answer, recorded

__all__ = ["SUBNET", "Google"]

SUBNET = "regions/europe-west3/subnetworks/six"
"""One that gives external IPv6 addresses."""

_BASE = "/compute/v1/projects/tunnels"
_ZONE = "europe-west3-c"


def _error(status: int, reason: str, message: str) -> tuple[int, object]:
    return status, {
        "error": {"code": status, "message": message, "errors": [{"domain": "usageLimits", "reason": reason, "message": message}]}
    }  # fmt: skip


class Google(Rest):
    name = "gce"
    creating = rf"POST {_BASE}/zones/[\w-]+/instances"
    listing = f"GET {_BASE}/aggregated/instances"
    destroying = rf"DELETE {_BASE}/zones/[\w-]+/instances/[\w-]+"
    baking = f"POST {_BASE}/global/images"
    discarding = rf"DELETE {_BASE}/global/images/([\w-]+)"
    refusals: ClassVar[Mapping[str, tuple[int, object]]] = {
        "auth": _error(401, "authError", "Invalid Credentials"),
        "quota": _error(403, "quotaExceeded", "Quota 'INSTANCES' exceeded. Limit: 24.0 in region europe-west3."),
        "rate": _error(429, "rateLimitExceeded", "Rate Limit Exceeded"),
        "bad-request": _error(400, "invalid", "Invalid value for field 'resource.machineType'"),
        "retry": _error(503, "backendError", "Internal error. Please try again"),
    }

    def __init__(self) -> None:
        super().__init__()
        self.contract = Contract("gce")
        self.requests: set[str] = set()
        instance = rf"{_BASE}/zones/[\w-]+/instances/([\w-]+)"
        self.routes = [
            (self.creating, self._create),
            (self.listing, self._list),
            (f"GET {instance}", self._get),
            (f"GET {instance}/serialPort", lambda _, __: answer(200, {"kind": "compute#serialPortOutput", "contents": self.written})),
            (f"DELETE {instance}", self._destroy),
            (rf"POST {_BASE}/(?:zones/[\w-]+|global)/operations/\w+/wait", lambda _: answer(200, {**_RUNNING, "status": "DONE"})),
            (f"POST {_BASE}/global/firewalls", self._open),
            (f"GET {_BASE}/global/firewalls", self._walls),
            (rf"DELETE {_BASE}/global/firewalls/([\w-]+)", self._close),
            (self.baking, self._bake),
            (f"GET {_BASE}/global/images", self._pictures),
            (self.discarding, self._discard),
            (f"GET {_BASE}/zones", lambda _: answer(200, _with_ours(recorded("gce/zones.json")))),
            (rf"GET {_BASE}/zones/[\w-]+/machineTypes/([\w-]+)", self._size),
            (r"GET /compute/v1/projects/([\w-]+/global/images/family/[\w-]+)", self._image),
            (rf"GET {_BASE}/regions/europe-west3", lambda _: answer(200, self._region())),
            ("POST /v1/projects/tunnels:testIamPermissions", self._held),
        ]  # fmt: skip

    def settings(self, url: str) -> dict[str, str]:
        return {"project": "tunnels", "region": _ZONE, "token": "canary-token", "endpoint": url}

    def not_found(self) -> object:
        return _error(404, "notFound", "The resource was not found")[1]

    def everything(self) -> list[str]:
        return [str(server["id"]) for server in self.servers.values()]

    def walls(self) -> list[str]:
        return sorted({tag for rule in self.firewalls.values() for tag in rule["targetTags"]})

    def let_in(self, wall: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
        for allowed in wall["allowed"]:
            for port in allowed["ports"]:
                for network in wall["sourceRanges"]:
                    yield allowed["IPProtocol"], int(port), network

    def foreign(self, name: str) -> str:
        nat = {"accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
        return str(self._make({"name": name, "labels": {"team": "web"}, "networkInterfaces": [nat]})["id"])

    def holds(self, name: str) -> bool:
        return name in self.servers or f"{name}-ssh-4" in self.firewalls

    def foreign_wall(self, name: str) -> str:
        self.firewalls[f"{name}-ssh-4"] = {
            "name": f"{name}-ssh-4", "description": "web", "network": "global/networks/default", "direction": "INGRESS",
            "allowed": [{"IPProtocol": "tcp", "ports": ["80"]}], "sourceRanges": ["0.0.0.0/0"], "targetTags": ["web"],
        }  # fmt: skip
        return "web"

    def _size(self, _: Request, name: str) -> Answer:
        known = {"e2-micro": 2, "e2-medium": 2}
        found = {"kind": "compute#machineType", "name": name, "guestCpus": known.get(name), "memoryMb": 1024}
        return answer(200, found) if name in known else answer(404, self.not_found())

    def _image(self, _: Request, family: str) -> Answer:
        found = {"kind": "compute#image", "name": "debian-13-v1", "family": "debian-13", "status": "READY"}
        known = family == "debian-cloud/global/images/family/debian-13"
        return answer(200, found) if known else answer(404, self.not_found())

    def _region(self) -> dict[str, Any]:
        region: dict[str, Any] = recorded("gce/projects_other_name_regions_us-central1.json")
        for quota in region["quotas"]:
            if self.full and quota["metric"] == "INSTANCES":
                quota["usage"] = quota["limit"]
        return {**region, "name": "europe-west3"}

    def _held(self, request: Request) -> Answer:
        """Google leaves an empty list out."""
        held = [right for right in json.loads(request.body)["permissions"] if right not in self.lacks]
        return answer(200, {"permissions": held} if held else {})

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        zones = recorded("gce/aggregated_instances.json")["items"]
        made = copy.deepcopy(next(zone["instances"][0] for zone in zones.values() if "instances" in zone))
        made |= {"id": str(next(self.numbers)), "name": asked["name"], "labels": asked["labels"]}
        (interface,) = asked["networkInterfaces"]
        if interface.get("stackType") == "IPV6_ONLY":
            given = [
                {**config, "externalIpv6": "2600:1900:40d0:1::", "externalIpv6PrefixLength": 96}
                for config in interface["ipv6AccessConfigs"]
            ]
            made["networkInterfaces"] = [
                {"name": "nic0", "stackType": "IPV6_ONLY", "ipv6AccessType": "EXTERNAL", "ipv6AccessConfigs": given}
            ]
        made["zone"] = f"https://www.googleapis.com{_BASE}/zones/{_ZONE}"
        self.servers[asked["name"]] = made
        return dict(made)

    def _create(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        if not all(re.fullmatch(r"[a-z0-9_-]{0,63}", value) for value in asked["labels"].values()):
            return answer(*_error(400, "invalid", "Invalid value for field 'resource.labels'"))
        (interface,) = asked["networkInterfaces"]
        if "ipv6AccessConfigs" in interface and interface.get("subnetwork") != SUBNET:
            return answer(*_error(400, "invalid", "The subnetwork has no external IPv6 range"))
        if asked["name"] in self.servers and request.query["requestId"] not in self.requests:
            return answer(*_error(409, "alreadyExists", f"The resource {asked['name']} already exists"))
        if request.query["requestId"] not in self.requests:
            self.requests.add(request.query["requestId"])
            self._make(asked)
        return answer(200, _RUNNING)

    def _list(self, request: Request) -> Answer:
        label = request.query.get("filter", "").removeprefix("labels.").removesuffix(":*")
        found = [server for server in self.servers.values() if not label or label in server["labels"]]
        empty = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results"}}
        zones = {"zones/us-central1-a": empty, f"zones/{_ZONE}": {"instances": found} if found else empty}
        return answer(200, {"kind": "compute#instanceAggregatedList", "id": "x", "items": zones, "selfLink": "x"})

    def _get(self, _: Request, name: str) -> Answer:
        found = self.servers.get(name)
        return answer(200, found) if found else answer(404, self.not_found())

    def _destroy(self, _: Request, name: str) -> Answer:
        return answer(200, _RUNNING) if self.servers.pop(name, None) else answer(404, self.not_found())

    def turn_off(self, number: str) -> None:
        next(one for one in self.servers.values() if str(one["id"]) == number)["status"] = "TERMINATED"

    def foreign_picture(self) -> str:
        self.images["web-team"] = {"name": "web-team", "status": "READY", "labels": {"team": "web"}}
        return "web-team"

    def _bake(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        disk = re.fullmatch(rf"projects/tunnels/zones/{_ZONE}/disks/([\w-]+)", asked["sourceDisk"])
        if disk is None or disk[1] not in self.servers:
            return answer(*_error(404, "notFound", "The resource of the disk was not found"))
        if self.servers[disk[1]]["status"] == "RUNNING":
            return answer(*_error(400, "resourceInUse", "The disk resource is already being used by an instance"))
        if asked["name"] in self.images:
            return answer(*_error(409, "alreadyExists", f"The resource {asked['name']} already exists"))
        state = {"": "READY", "failed": "FAILED"}.get(self.images_become, "PENDING")
        self.images[asked["name"]] = {**asked, "status": state}
        return answer(200, _RUNNING)

    def _pictures(self, request: Request) -> Answer:
        label = request.query.get("filter", "").removeprefix("labels.").removesuffix(":*")
        found = [one for one in self.images.values() if not label or label in one["labels"]]
        return answer(200, {"kind": "compute#imageList", "id": "x", **({"items": found} if found else {})})

    def _discard(self, _: Request, name: str) -> Answer:
        return answer(200, _RUNNING) if self.images.pop(name, None) else answer(404, self.not_found())

    def _open(self, request: Request) -> Answer:
        asked = json.loads(request.body)
        if asked["name"] in self.firewalls:
            return answer(*_error(409, "alreadyExists", f"The resource {asked['name']} already exists"))
        if len({":" in network for network in asked["sourceRanges"]}) > 1:
            return answer(*_error(400, "invalid", "IPv4 and IPv6 sourceRanges in one rule"))
        self.firewalls[asked["name"]] = asked
        return answer(200, _RUNNING)

    def _walls(self, _: Request) -> Answer:
        others = recorded("gce/global_firewalls.json")["items"]
        return answer(200, {"kind": "compute#firewallList", "id": "x", "items": [*others, *self.firewalls.values()]})

    def _close(self, _: Request, name: str) -> Answer:
        return answer(200, _RUNNING) if self.firewalls.pop(name, None) else answer(404, self.not_found())


def _with_ours(zones: dict[str, Any]) -> dict[str, Any]:
    return {**zones, "items": [*zones["items"], {**zones["items"][0], "name": _ZONE}]}


_RUNNING = {"kind": "compute#operation", "name": "operation1", "status": "RUNNING", "id": "1", "selfLink": "x"}
