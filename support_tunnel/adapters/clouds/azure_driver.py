"""Microsoft Azure over libcloud's connection (its login, its errors): a tunnel server is a resource group, and ends as one.

All that a server needs there (machine, disk, address, network, rules) is put by one deployment into a group of its own, and removing the
group removes all of it. libcloud's own driver leaves the address behind and cannot send user-data (its issue 1893).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from libcloud.common.azure_arm import AzureResourceManagementConnection
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import MalformedResponseError, ProviderError
from libcloud.compute.base import Node, NodeDriver, NodeLocation
from libcloud.compute.types import NodeState

from support_tunnel.adapters.clouds.pages import Page, whole

__all__ = ["AzureDriver"]

_GROUPS = "2021-04-01"
_NETWORK = "2023-09-01"
"""Versions of the two APIs that are asked."""


class _Connection(AzureResourceManagementConnection):  # type: ignore[misc]  # libcloud has no types
    token = ""

    def __init__(self, key: str, secret: str, secure: bool = True, token: str = "", **rest: Any) -> None:
        self.token = token
        super().__init__(key, secret, secure, **rest)

    def get_token_from_credentials(self) -> None:
        if self.token:
            self.access_token, self.expires_on = self.token, time.time() + 3_600
        else:
            super().get_token_from_credentials()


class AzureDriver(NodeDriver):  # type: ignore[misc]  # libcloud has no types
    type = "azure"
    name = "Microsoft Azure"
    api_name = "azure_arm"
    website = "https://azure.microsoft.com/"
    connectionCls = _Connection
    features: ClassVar[dict[str, list[str]]] = {"create_node": []}

    def __init__(
        self, user: str, secret: str, *, tenant: str, subscription: str, token: str = "", timeout: int = 60
    ) -> None:
        self._access = {"tenant_id": tenant, "subscription_id": subscription, "token": token}
        self._subscription = f"/subscriptions/{subscription}"
        super().__init__(user, secret, timeout=timeout)

    def _ex_connection_class_kwargs(self) -> dict[str, Any]:
        return {**super()._ex_connection_class_kwargs(), **self._access}

    def list_locations(self) -> list[NodeLocation]:
        found = self._ask("GET", f"{self._subscription}/locations", "2022-12-01")["value"]
        return [NodeLocation(place["name"], place["displayName"], "", self) for place in found]

    def create_node(
        self, name: str, ex_group: str, ex_region: str, ex_tags: Mapping[str, str], ex_template: Mapping[str, Any],
        ex_parameters: Mapping[str, str],
    ) -> Node:  # fmt: skip
        """Each step may be sent twice. The tags come first: what was begun can be found by them."""
        group = f"{self._subscription}/resourcegroups/{ex_group}"
        made = self._ask("PUT", group, _GROUPS, {"location": ex_region, "tags": {**ex_tags, "st-name": name}})
        properties = {
            "mode": "Incremental",
            "template": ex_template,
            "parameters": {key: {"value": value} for key, value in ex_parameters.items()},
        }
        self._ask("PUT", self._deployment(ex_group), _GROUPS, {"properties": properties})
        return self._to_node(made, {})

    def ex_made(self, group: str) -> bool | None:
        """Whether all of a group is there by now; None: Azure knows of no deployment. Raises with Azure's own words of a failed one."""
        try:
            told = self._ask("GET", self._deployment(group), _GROUPS)["properties"]
        except BaseHTTPError as error:
            if "DeploymentNotFound" in str(error):
                return None
            raise
        if told["provisioningState"] in ("Failed", "Canceled"):
            raise ProviderError(self._why(group, told), 400, driver=self)
        return bool(told["provisioningState"] == "Succeeded")

    def _why(self, group: str, told: Mapping[str, Any]) -> str:
        """The innermost reason of the first step that failed: those around it say only that something did."""
        steps = self._all(f"{self._deployment(group)}/operations", _GROUPS)
        failed = [step["properties"] for step in steps if step["properties"].get("provisioningState") == "Failed"]
        messages = [step.get("statusMessage") or {} for step in failed]
        for message in (*(one for one in messages if isinstance(one, dict)), told):
            reason = message.get("error") or {}
            while reason.get("details"):
                reason = reason["details"][0]
            if reason.get("message"):
                return f"{reason.get('code', '')}: {reason['message']}"
        return f"the deployment ended as {told['provisioningState']}"

    def _deployment(self, group: str) -> str:
        return f"{self._subscription}/resourcegroups/{group}/providers/Microsoft.Resources/deployments/tunnel-server"

    def list_nodes(self, ex_tag: str = "") -> list[Node]:
        params = {"$filter": f"tagName eq '{ex_tag}'"} if ex_tag else {}
        groups = self._all(f"{self._subscription}/resourcegroups", _GROUPS, params)
        found = (
            self._all(f"{self._subscription}/providers/Microsoft.Network/publicIPAddresses", _NETWORK) if groups else []
        )
        addresses = {
            address["id"].split("/")[4].lower(): address["properties"].get("ipAddress", "") for address in found
        }
        return [self._to_node(group, addresses) for group in groups]

    def destroy_node(self, node: Node) -> bool:
        """Azure begins to remove it, and lists it until it is gone."""
        self.connection.request(
            f"{self._subscription}/resourcegroups/{node.id}", params={"api-version": _GROUPS}, method="DELETE"
        )
        return True

    def ex_look(self, path: str, version: str) -> Any:
        """What the API has at a path of the subscription; of some it is a list."""
        return self.connection.request(f"{self._subscription}{path}", params={"api-version": version}).object

    def ex_list(self, path: str, version: str, condition: str = "") -> list[dict[str, Any]]:
        """All of a list of the subscription."""
        return self._all(f"{self._subscription}{path}", version, {"$filter": condition} if condition else {})

    def _ask(
        self, method: str, path: str, version: str, body: Mapping[str, Any] | None = None, **more: str
    ) -> dict[str, Any]:
        params = {"api-version": version, **more}
        answer = self.connection.request(path, method=method, data=body, params=params).object
        if not isinstance(answer, dict) or not answer:
            raise MalformedResponseError("an answer without a body", body="", driver=self)
        return answer

    def _all(self, path: str, version: str, params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        def ask(token: Mapping[str, str]) -> Page:
            answer = self._ask("GET", path, version, None, **(params or {}), **token)
            following = str(answer.get("nextLink") or "")
            if not following:
                return Page(answer["value"])
            # Each of Azure's services spells it its own way; a list that cannot be followed is no list.
            told = parse_qsl(urlsplit(following).query)
            tokens = {name: value for name, value in told if name.lower() == "$skiptoken"}
            if not tokens:
                raise MalformedResponseError("a list that goes on nobody knows where", body="", driver=self)
            return Page(answer["value"], tokens)

        return whole(ask, {})

    def _to_node(self, group: Mapping[str, Any], addresses: Mapping[str, str]) -> Node:
        tags = group.get("tags") or {}
        address = addresses.get(group["name"].lower(), "")
        going = group["properties"]["provisioningState"] == "Deleting"
        state = NodeState.STOPPING if going else NodeState.RUNNING if address else NodeState.PENDING
        return Node(
            group["name"], tags.get("st-name", group["name"]), state, [address] if address else [], [], self, extra={"tags": tags}
        )  # fmt: skip
