"""Azure with state: resource groups, and what a deployment puts into them; answers by its published API reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.clouds.gate import Answer, Request
from tests.clouds.rest import Rest, answer

__all__ = ["Microsoft"]

_BASE = "/subscriptions/99999999"
_COMPUTE = f"{_BASE}/providers/Microsoft.Compute"
_SIZE = {
    "name": "Standard_B1s", "resourceType": "virtualMachines", "family": "standardBSFamily", "locations": ["germanywestcentral"],
    "capabilities": [{"name": "vCPUs", "value": "1"}], "restrictions": [{"type": "Zone", "reasonCode": "NotAvailableForSubscription"}],
}  # fmt: skip
_DISK = {"name": "Premium_LRS", "resourceType": "disks", "locations": ["germanywestcentral"], "restrictions": []}
_TOKEN = "a+b/c=="
"""How the name of each next page begins: it comes back as it was only when it is read and written once."""


def _error(status: int, code: str, message: str) -> tuple[int, object]:
    return status, {"error": {"code": code, "message": message}}


class Microsoft(Rest):
    name = "azure"
    creating = rf"PUT {_BASE}/resourcegroups/[\w-]+/providers/Microsoft.Resources/deployments/[\w-]+"
    listing = f"GET {_BASE}/resourcegroups"
    destroying = rf"DELETE {_BASE}/resourcegroups/[\w-]+"
    refusals: ClassVar[Mapping[str, tuple[int, object]]] = {
        "auth": _error(401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time"),
        "quota": _error(400, "QuotaExceeded", "Operation could not be completed as it results in exceeding approved Total Regional Cores quota."),
        "rate": _error(429, "TooManyRequests", "The request is being throttled."),
        "bad-request": _error(400, "InvalidTemplateDeployment", "The requested VM size Standard_B0 is not available in this location."),
        "retry": _error(503, "ServerBusy", "The server is busy."),
    }  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.deployed: dict[str, list[dict[str, Any]]] = {}
        self.parameters: dict[str, dict[str, Any]] = {}
        self.states = ["Accepted", "Running", "Succeeded"]
        """Of a deployment, as it is asked for one after the other; the last one stays."""
        self.steps: list[dict[str, Any]] = []
        self.routes = [
            (rf"PUT {_BASE}/resourcegroups/([\w-]+)", self._group),
            (rf"PUT {_BASE}/resourcegroups/([\w-]+)/providers/Microsoft.Resources/deployments/[\w-]+", self._deploy),
            (rf"GET {_BASE}/resourcegroups/([\w-]+)/providers/Microsoft.Resources/deployments/[\w-]+", self._deployment),
            (rf"GET {_BASE}/resourcegroups/([\w-]+)/providers/Microsoft.Resources/deployments/[\w-]+/operations", self._operations),
            (self.listing, self._list),
            (rf"DELETE {_BASE}/resourcegroups/([\w-]+)", self._destroy),
            (f"GET {_BASE}/providers/Microsoft.Network/publicIPAddresses", self._addresses),
            (f"GET {_COMPUTE}/skus", lambda _: answer(200, {"value": [_DISK, _SIZE]})),
            (rf"GET {_COMPUTE}/locations/germanywestcentral/publishers/Debian/artifacttypes/vmimage/offers/debian-13/skus/([\w-]+)/versions",
                lambda _, sku: answer(200, [{"name": "0.20300101.1", "location": "germanywestcentral"}] if sku == "13-gen2" else [])),
            (f"GET {_COMPUTE}/locations/germanywestcentral/usages", self._usages),
            (f"GET {_BASE}/providers/Microsoft.Authorization/permissions", self._permissions),
            (f"GET {_BASE}/locations", lambda _: answer(200, {"value": [{"name": "germanywestcentral", "displayName": "Germany"}]})),
        ]  # fmt: skip

    def settings(self, url: str) -> dict[str, str]:
        return {"subscription": "99999999", "region": "germanywestcentral", "token": "canary-token", "endpoint": url}

    def not_found(self) -> object:
        return _error(404, "ResourceGroupNotFound", "Resource group could not be found.")[1]

    def _usages(self, _: Request) -> Answer:
        """Counted twice: all cores of the region, and those of a family."""
        names = {"cores": 10, "virtualMachines": 25_000, "standardBSFamily": 10}
        used = {"standardBSFamily": 10} if self.full else {}
        found = [
            {
                "name": {"value": name, "localizedValue": name},
                "currentValue": used.get(name, 0),
                "limit": limit,
                "unit": "Count",
            }
            for name, limit in names.items()
        ]
        return answer(200, {"value": found})

    def _permissions(self, _: Request) -> Answer:
        """Of two roles, as they are assigned: the first may all but what is lacked, the second looks."""
        first = {
            "actions": ["Microsoft.Compute/*", "microsoft.network/*", "Microsoft.Resources/*"],
            "notActions": sorted(self.lacks),
        }
        return answer(200, {"value": [first, {"actions": ["*/read"], "notActions": []}]})

    def rules(self) -> set[tuple[str, int, str]]:
        return {
            (rule["protocol"].lower(), int(rule["destinationPortRange"]), network)
            for resources in self.deployed.values()
            for rule in self._rules(resources)
            for network in rule["sourceAddressPrefixes"]
        }

    @staticmethod
    def _rules(resources: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for one in resources:
            if one["type"].endswith("/networkSecurityGroups"):
                yield from (rule["properties"] for rule in one["properties"]["securityRules"])

    def foreign(self, name: str) -> str:
        self.servers[name] = {
            "name": name,
            "location": "x",
            "tags": {"team": "web"},
            "properties": {"provisioningState": "Succeeded"},
        }
        return name

    def foreign_wall(self, name: str) -> str:
        raise NotImplementedError("its rules are in the group of their server")

    def _group(self, request: Request, name: str) -> Answer:
        asked = json.loads(request.body)
        if not set(asked) <= {"location", "tags"} or len(asked["tags"]) > 50:
            return answer(*_error(400, "InvalidRequestContent", "The request content was invalid"))
        status = 200 if name in self.servers else 201
        self.servers[name] = {
            **asked,
            "name": name,
            "id": f"{_BASE}/resourceGroups/{name}",
            "properties": {"provisioningState": "Succeeded"},
        }
        return answer(status, self.servers[name])

    def _deploy(self, request: Request, name: str) -> Answer:
        if name not in self.servers:
            return answer(404, self.not_found())
        asked = json.loads(request.body)["properties"]
        self.deployed[name] = asked["template"]["resources"]
        self.parameters[name] = asked["parameters"]
        return answer(201, {"id": "x", "name": "tunnel-server", "properties": {"provisioningState": "Accepted"}})

    def _deployment(self, _: Request, name: str) -> Answer:
        if name not in self.servers:
            return answer(404, self.not_found())
        if name not in self.deployed:
            return answer(*_error(404, "DeploymentNotFound", "Deployment 'tunnel-server' could not be found."))
        state = self.states.pop(0) if self.states[1:] else self.states[0]
        failed = {"code": "DeploymentFailed", "message": "At least one resource deployment operation failed."}
        error = {"error": failed} if state == "Failed" else {}
        return answer(200, {"id": "x", "name": "tunnel-server", "properties": {"provisioningState": state, **error}})

    def _operations(self, _: Request, name: str) -> Answer:
        return answer(200, {"value": self.steps}) if name in self.deployed else answer(404, self.not_found())

    def _list(self, request: Request) -> Answer:
        """A page begins after a name, so that nothing falls between two when another one goes."""
        tag = request.query.get("$filter", "").removeprefix("tagName eq '").removesuffix("'")
        found = [group for group in self.servers.values() if not tag or tag in group["tags"]]
        token = request.query.get("$skipToken", _TOKEN)
        if not token.startswith(_TOKEN):
            return answer(*_error(400, "InvalidSkipToken", "The skip token is not valid."))
        rest = sorted((one for one in found if one["name"] > token.removeprefix(_TOKEN)), key=lambda one: one["name"])
        page, more_of_it = rest[: self.page_size], rest[self.page_size :]
        following = urlencode({"api-version": "x", "$skipToken": f"{_TOKEN}{page[-1]['name']}"}) if more_of_it else ""
        more = {"nextLink": f"https://x{_BASE}/resourcegroups?{following}"} if following else {}
        return answer(200, {"value": page, **more})

    def _addresses(self, _: Request) -> Answer:
        where = "providers/Microsoft.Network/publicIPAddresses/x"
        found = [
            {"id": f"{_BASE}/resourceGroups/{name.upper()}/{where}", "properties": {"ipAddress": "9.9.9.9"}}
            for name in self.deployed
        ]
        return answer(200, {"value": found})

    def _destroy(self, _: Request, name: str) -> Answer:
        self.deployed.pop(name, None)
        return answer(202) if self.servers.pop(name, None) else answer(404, self.not_found())
