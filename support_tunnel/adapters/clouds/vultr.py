"""Vultr. Made and listed by raw calls: libcloud's driver knows one tag a server, in a field that Vultr calls deprecated.

A firewall group there has no tags, so its description holds them.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from support_tunnel.adapters.clouds import vultr_health, words
from support_tunnel.adapters.clouds.drivers import REQUEST_SECONDS, driver_class, point_at
from support_tunnel.adapters.clouds.pages import Page, whole
from support_tunnel.adapters.clouds.row import CloudRow, Firewall, Opened, Setting, Told
from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import ServerSpec

__all__ = ["VULTR"]


def _connect(told: Told) -> Any:
    driver = driver_class("vultr")(told["token"].reveal(), timeout=REQUEST_SECONDS)
    driver.ex_ipv6_alone = words.ipv6_alone(told, "vultr")
    return point_at(driver, told["endpoint"])


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    return {
        "plan": words.by_word("size", VULTR.sizes, spec.size, told),
        "os_id": _image(driver, words.by_word("image", VULTR.images, spec.image, told)),
        "region": told["region"],
        "tags": words.words(spec.tags, 255),
        "user_data": base64.b64encode(spec.user_data.encode()).decode(),
        "enable_ipv6": True,
        "disable_public_ipv4": words.ipv6_alone(told, "vultr"),
        "activation_email": False,
        "backups": "disabled",
        **({"firewall_group_id": opened} if opened else {}),
    }


def _image(driver: Any, name: str) -> int:
    """Its number; a number is taken as it is."""
    if name.isdigit():
        return int(name)
    for image in driver.list_images():
        if image.name == name:
            return int(image.id)
    raise CloudError("cloud.unknown-name", f"Vultr has no image {name!r}")


def _create(driver: Any, name: str, arguments: dict[str, Any]) -> Any:
    made = _send(driver, "POST", "/v2/instances", {"label": name, "hostname": name, **arguments})
    return _node(driver, made["instance"])


def _listed(driver: Any) -> list[Any]:
    return [_node(driver, told) for told in _all(driver, "/v2/instances", "instances")]


def _all(driver: Any, path: str, what: str) -> list[dict[str, Any]]:
    def ask(cursor: str) -> Page:
        answer = driver.connection.request(
            path, params={"per_page": 500, **({"cursor": cursor} if cursor else {})}
        ).object
        return Page(answer[what], answer["meta"]["links"]["next"] or None)

    return whole(ask, "")


def _node(driver: Any, told: dict[str, Any]) -> Any:
    node = driver._to_node({"tag": "", **told})
    node.extra["tags"] = told.get("tags") or []
    # Said before there is one, and where there is to be none. Until then the IPv6 address is not the one that is wanted.
    public = [told["main_ip"]] if told["main_ip"] != "0.0.0.0" else []  # noqa: S104 - its word for none
    six = [told["v6_main_ip"]] if told.get("v6_main_ip") and (public or driver.ex_ipv6_alone) else []
    node.public_ips = [*public, *six]
    return node


def _send(driver: Any, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body)
    return driver.connection.request(path, method=method, data=data).object


def _open(driver: Any, spec: ServerSpec, told: Told) -> str:
    words_of_it = words.words(words.for_server(spec), 80)
    known = next((wall for wall in _walls(driver, told) if wall.name == spec.name), None)
    made = known.id if known else ""
    if not made:
        body = {"description": " ".join([spec.name, *words_of_it])}
        made = str(_send(driver, "POST", "/v2/firewalls", body)["firewall_group"]["id"])
    there = _all(driver, f"/v2/firewalls/{made}/rules", "firewall_rules")
    have = {(rule["protocol"], str(rule["port"]), f"{rule['subnet']}/{rule['subnet_size']}") for rule in there}
    for port in spec.open_ports:
        for network in words.sources(port, told):
            if (port.protocol, str(port.port), str(network)) not in have:
                rule = {
                    "ip_type": f"v{network.version}",
                    "protocol": port.protocol,
                    "port": str(port.port),
                    "subnet": str(network.network_address),
                    "subnet_size": network.prefixlen,
                }
                _send(driver, "POST", f"/v2/firewalls/{made}/rules", rule)
    return made


def _walls(driver: Any, told: Told) -> list[Opened]:
    found = []
    for wall in _all(driver, "/v2/firewalls", "firewall_groups"):
        name, *told_words = str(wall["description"]).split(" ")
        found.append(Opened(str(wall["id"]), name, words.pairs(told_words)))
    return found


VULTR = CloudRow(
    name="vultr",
    title="Vultr",
    connect=_connect,
    arguments=_arguments,
    create=_create,
    tags=lambda node: words.pairs(node.extra["tags"]),
    address=words.address,
    genuine=lambda driver: bool(driver.list_locations()),
    settings=(
        Setting("token", "where an API key is", needed=True, secret=True),
        Setting("region", "a region such as fra", needed=True),
        words.addresses("both, or ipv6 alone", "both", "ipv6"),
        words.SIZE,
        words.IMAGE,
        words.SSH_FROM,
        Setting("endpoint", "another address of the API than Vultr's own"),
    ),
    listed=_listed,
    firewall=Firewall(
        open=_open,
        listed=_walls,
        close=lambda driver, wall, told: _send(driver, "DELETE", f"/v2/firewalls/{wall.id}"),
    ),
    sizes={"small": "vc2-1c-1gb", "medium": "vc2-2c-4gb"},
    images={"debian-12": "Debian 12 x64 (bookworm)", "debian-13": "Debian 13 x64 (trixie)"},
    user_data_limit=65_536,
    console="https://my.vultr.com/",
    permissions=(
        "Manage Servers (`provisioning`, `upgrade`)",
        "Manage Firewall",
        "an access list with the admin's address",
    ),
    looks=vultr_health.LOOKS,
)
