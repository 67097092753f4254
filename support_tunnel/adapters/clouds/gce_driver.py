"""Google Compute Engine over libcloud's connection (its login, its errors), with bodies of our own.

libcloud's own driver cannot say when Google is to delete a server by itself, attaches the project's default service account unless told
not to, and makes six requests where one will do. Bodies are held to Google's discovery document (tests/clouds/contracts/gce.yml).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

from libcloud.common.base import ConnectionUserAndKey
from libcloud.common.types import MalformedResponseError
from libcloud.compute.base import Node, NodeDriver, NodeLocation
from libcloud.compute.drivers.gce import GCEConnection
from libcloud.compute.types import NodeState

from support_tunnel.adapters.clouds.drivers import point_at
from support_tunnel.adapters.clouds.pages import Page, whole

__all__ = ["GceDriver"]

_WAITS = 5
"""An operation is waited for by Google itself, up to two minutes a time."""
_SCOPES = "https://www.googleapis.com/auth"


class _Connection(GCEConnection):  # type: ignore[misc]  # libcloud has no types
    def __init__(self, user_id: str, key: Any, secure: bool, token: str = "", project: str = "", **rest: Any) -> None:
        if token:
            # The parent would ask for one, and keep it in a file.
            rest.pop("scopes", None)  # it has its own
            ConnectionUserAndKey.__init__(self, user_id, key, secure=secure, **rest)
            self.oauth2_credential = SimpleNamespace(access_token=token)
            self.request_path = f"/compute/v1/projects/{project}"
            self.gce_params = None
        else:
            # "SA": else it asks the metadata server first. No file: a cached token is the next account's of that project too.
            super().__init__(user_id, key, secure, auth_type="SA", credential_file=os.devnull, project=project, **rest)

    def add_default_headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {**headers, "Content-Type": "application/json"}


class _Rights(_Connection):
    """Another of Google's services, and a login that may only read."""

    host = "cloudresourcemanager.googleapis.com"

    def __init__(self, user_id: str, key: Any, *, token: str, project: str, timeout: int) -> None:
        scopes = [f"{_SCOPES}/cloud-platform.read-only"]
        super().__init__(user_id, key, True, token=token, project=project, timeout=timeout, scopes=scopes)
        self.request_path = f"/v1/projects/{project}"


class GceDriver(NodeDriver):  # type: ignore[misc]  # libcloud has no types
    type = "gce"
    name = "Google Compute Engine"
    api_name = "gce"
    website = "https://cloud.google.com/"
    connectionCls = _Connection
    features: ClassVar[dict[str, list[str]]] = {"create_node": []}
    NODE_STATE_MAP: ClassVar[dict[str, Any]] = {
        "PROVISIONING": NodeState.PENDING,
        "STAGING": NodeState.PENDING,
        "RUNNING": NodeState.RUNNING,
        "STOPPING": NodeState.STOPPING,
        "STOPPED": NodeState.STOPPED,
        "SUSPENDING": NodeState.SUSPENDED,
        "SUSPENDED": NodeState.SUSPENDED,
        "TERMINATED": NodeState.STOPPED,  # Google's word for one that is off: its disk is still there and billed
    }

    def __init__(self, user_id: str, key: Any, *, project: str, zone: str, token: str = "", timeout: int = 60) -> None:
        self.project, self.zone, self._token, self._timeout = project, zone, token, timeout
        super().__init__(user_id, key, timeout=timeout)

    def _ex_connection_class_kwargs(self) -> dict[str, Any]:
        return {**super()._ex_connection_class_kwargs(), "project": self.project, "token": self._token}

    def list_locations(self) -> list[NodeLocation]:
        return [NodeLocation(zone["name"], zone["name"], "", self) for zone in self._ask("GET", "/zones")["items"]]

    def create_node(self, name: str, ex_body: Mapping[str, Any], ex_request: str) -> Node:
        """Make it and wait until Google has; `ex_request` is a UUID that makes a second sending of the same a no-op."""
        place = f"/zones/{self.zone}"
        body = {"name": name, **ex_body}
        operation = self._ask("POST", f"{place}/instances", body, requestId=ex_request)
        self._wait(f"{place}/operations", operation)
        return self._to_node(self._ask("GET", f"{place}/instances/{name}"))

    def list_nodes(self, ex_label: str = "") -> list[Node]:
        """All zones. A zone that does not answer makes this fail: a list without it proves nothing."""
        found: list[Node] = []
        params = {"filter": f"labels.{ex_label}:*"} if ex_label else {}
        for zone, held in self._all("/aggregated/instances", lambda answer: answer.get("items", {}).items(), **params):
            if held.get("warning", {}).get("code", "NO_RESULTS_ON_PAGE") != "NO_RESULTS_ON_PAGE":
                raise MalformedResponseError(f"{zone} could not be listed", body="", driver=self)
            found += [self._to_node(instance) for instance in held.get("instances", [])]
        return found

    def destroy_node(self, node: Node) -> bool:
        self._ask("DELETE", f"/zones/{node.extra['zone']}/instances/{node.name}")
        return True

    def ex_written(self, node: Node) -> str:
        """What it has written on its first serial port, a megabyte at most."""
        place = f"/zones/{node.extra['zone']}/instances/{node.name}"
        return str(self._ask("GET", f"{place}/serialPort")["contents"])

    def ex_firewalls(self) -> list[dict[str, Any]]:
        return self._all("/global/firewalls", lambda answer: answer.get("items", []))

    def ex_open_firewall(self, body: Mapping[str, Any]) -> None:
        self._wait("/global/operations", self._ask("POST", "/global/firewalls", body))

    def ex_close_firewall(self, name: str) -> None:
        self._wait("/global/operations", self._ask("DELETE", f"/global/firewalls/{name}"))

    def ex_images(self, label: str) -> list[dict[str, Any]]:
        return self._all("/global/images", lambda answer: answer.get("items", []), filter=f"labels.{label}:*")

    def ex_make_image(self, body: Mapping[str, Any]) -> None:
        self._wait("/global/operations", self._ask("POST", "/global/images", body))

    def ex_remove_image(self, name: str) -> None:
        self._wait("/global/operations", self._ask("DELETE", f"/global/images/{name}"))

    def ex_look(self, path: str) -> dict[str, Any]:
        """What the API has at a path of the project, or anywhere where it begins with `https://`."""
        return self._ask("GET", path)

    def ex_held(self, rights: Sequence[str], url: str) -> set[str]:
        """Those of `rights` that this account has on the project; `url` is where to ask, if not at Google's own."""
        made = _Rights(self.key, self.secret, token=self._token, project=self.project, timeout=self._timeout)
        asked = SimpleNamespace(connection=made)
        asked.connection.driver = self
        point_at(asked, url or f"https://{_Rights.host}")
        answer = asked.connection.request(
            ":testIamPermissions", method="POST", data={"permissions": list(rights)}
        ).object
        if not isinstance(answer, dict):
            raise MalformedResponseError("an answer without a body", body="", driver=self)
        return set(answer.get("permissions", []))  # Google leaves an empty list out

    def _wait(self, place: str, operation: Mapping[str, Any]) -> None:
        """An operation's own error is raised by libcloud's reading of the answer."""
        for _ in range(_WAITS):
            if operation["status"] == "DONE":
                return
            operation = self._ask("POST", f"{place}/{operation['name']}/wait")
        raise MalformedResponseError(f"{operation['name']} does not end", body="", driver=self)

    def _all(self, path: str, items: Callable[[dict[str, Any]], Iterable[Any]], **params: str) -> list[Any]:
        def ask(token: str) -> Page:
            following = {"pageToken": token} if token else {}
            answer = self._ask("GET", path, None, maxResults=500, **params, **following)
            return Page([*items(answer)], answer.get("nextPageToken") or None)

        return whole(ask, "")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        answer = self.connection.request(path, method=method, data=body, params=params).object
        if not isinstance(answer, dict) or not answer:
            raise MalformedResponseError("an answer without a body", body="", driver=self)
        return answer

    def _to_node(self, instance: Mapping[str, Any]) -> Node:
        public, private = [], []
        for interface in instance.get("networkInterfaces", []):
            public += [config["natIP"] for config in interface.get("accessConfigs", []) if config.get("natIP")]
            public += [
                config["externalIpv6"]
                for config in interface.get("ipv6AccessConfigs", [])
                if config.get("externalIpv6")
            ]
            private += [interface["networkIP"]] if interface.get("networkIP") else []
        return Node(
            str(instance["id"]),
            instance["name"],
            self.NODE_STATE_MAP.get(instance["status"], NodeState.UNKNOWN),
            public,
            private,
            self,
            extra={"labels": instance.get("labels", {}), "zone": instance["zone"].rpartition("/")[2]},
        )
