"""Linode. Made by a raw call: libcloud's `create_node` cannot say which firewall a server is to have from its first moment."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

from support_tunnel.adapters.clouds import linode_health, words
from support_tunnel.adapters.clouds.drivers import REQUEST_SECONDS, driver_class, point_at
from support_tunnel.adapters.clouds.pages import Page, whole
from support_tunnel.adapters.clouds.row import CloudRow, Firewall, Opened, Setting, Told
from support_tunnel.core.ports import ServerSpec

__all__ = ["LINODE"]

_TAG = 50
"""Longest tag there."""
_FIREWALLS = "/v4/networking/firewalls"


def _connect(told: Told) -> Any:
    return point_at(driver_class("linode")(told["token"].reveal(), timeout=REQUEST_SECONDS), told["endpoint"])


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    return {
        "type": words.by_word("size", LINODE.sizes, spec.size, told),
        "image": words.by_word("image", LINODE.images, spec.image, told),
        "region": told["region"],
        # Asked for by the API and known to nobody: sshd takes no passwords, and root may not log in.
        "root_pass": secrets.token_urlsafe(48),
        "tags": words.words(spec.tags, _TAG),
        "metadata": {"user_data": base64.b64encode(spec.user_data.encode()).decode()},
        **({"firewall_id": opened} if opened else {}),
    }


def _create(driver: Any, name: str, arguments: dict[str, Any]) -> Any:
    return driver._to_node(_send(driver, "POST", "/v4/linode/instances", {"label": name, **arguments}))


def _send(driver: Any, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body)
    return driver.connection.request(path, method=method, data=data).object


def _all(driver: Any, path: str) -> list[dict[str, Any]]:
    def ask(page: int) -> Page:
        answer = driver.connection.request(path, params={"page": page}).object
        return Page(answer["data"], page + 1 if page < answer["pages"] else None, answer["results"])

    return whole(ask, 1)


def _open(driver: Any, spec: ServerSpec, told: Told) -> int:
    for known in _all(driver, _FIREWALLS):
        if known["label"] == spec.name:
            return int(known["id"])
    inbound = []
    for port in spec.open_ports:
        networks = words.sources(port, told)
        by_version = {f"ipv{version}": [str(one) for one in networks if one.version == version] for version in (4, 6)}
        addresses = {version: found for version, found in by_version.items() if found}
        inbound.append(
            {"action": "ACCEPT", "protocol": port.protocol.upper(), "ports": str(port.port), "addresses": addresses}
        )
    rules = {"inbound_policy": "DROP", "inbound": inbound, "outbound_policy": "ACCEPT", "outbound": []}
    body = {"label": spec.name, "tags": words.words(words.for_server(spec), _TAG), "rules": rules}
    return int(_send(driver, "POST", _FIREWALLS, body)["id"])


def _walls(driver: Any, told: Told) -> list[Opened]:
    found = _all(driver, _FIREWALLS)
    return [Opened(str(wall["id"]), str(wall["label"]), words.pairs(wall["tags"])) for wall in found]


def _price(driver: Any, spec: ServerSpec, told: Told) -> float | None:
    wanted = words.by_word("size", LINODE.sizes, spec.size, told)
    types = _all(driver, "/v4/linode/types")
    return next((float(one["price"]["hourly"]) for one in types if one["id"] == wanted), None)


LINODE = CloudRow(
    name="linode",
    title="Linode (Akamai)",
    connect=_connect,
    arguments=_arguments,
    create=_create,
    tags=lambda node: words.pairs(node.extra["tags"]),
    address=words.address,
    genuine=lambda driver: bool(driver.list_locations()),
    settings=(
        Setting("token", "where a personal access token is", needed=True, secret=True),
        Setting("region", "a region that has the metadata service, such as eu-central", needed=True),
        words.addresses("both: no instance is without IPv4", "both"),
        words.SIZE,
        words.IMAGE,
        words.SSH_FROM,
        Setting("endpoint", "another address of the API than Linode's own"),
    ),
    listed=lambda driver: [driver._to_node(told) for told in _all(driver, "/v4/linode/instances")],
    firewall=Firewall(
        open=_open,
        listed=_walls,
        close=lambda driver, wall, told: _send(driver, "DELETE", f"{_FIREWALLS}/{wall.id}"),
    ),
    sizes={"small": "g6-nanode-1", "medium": "g6-standard-2"},
    images={"debian-12": "linode/debian12", "debian-13": "linode/debian13"},
    user_data_limit=16_384,
    console="https://cloud.linode.com/linodes",
    permissions=("linodes:read_write", "firewall:read_write"),
    looks=linode_health.LOOKS,
    hourly=_price,
)
