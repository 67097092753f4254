"""Any OpenStack, by its compute endpoint alone. A server that is off keeps its place and is billed where the cloud bills at all.

Nova cannot filter by metadata, so the list is the project's: give tunnel servers a project of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from support_tunnel.adapters.clouds import openstack_health, words
from support_tunnel.adapters.clouds.drivers import REQUEST_SECONDS, driver_class
from support_tunnel.adapters.clouds.openstack_images import BAKING
from support_tunnel.adapters.clouds.pages import Page, whole
from support_tunnel.adapters.clouds.row import CloudRow, Firewall, Opened, Setting, Told
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import ServerSpec

__all__ = ["OPENSTACK"]

_CONSOLE_LINES = 20


def _connect(told: Told) -> Any:
    of_project = {"ex_tenant_name": told["project"]} if told["project"] else {}
    driver = driver_class("openstack")(
        told["user"],
        told["password"].reveal(),
        ex_force_auth_url=told["auth_url"],
        # Without a project the user is an application credential, which has one built in.
        ex_force_auth_version="3.x_password" if told["project"] else "3.x_appcred",
        ex_domain_name=told["domain"],
        ex_force_service_region=told["region"],
        secure=told["auth_url"].startswith("https"),
        timeout=REQUEST_SECONDS,
        **of_project,
    )
    driver.ex_ipv6_alone = words.ipv6_alone(told, "openstack", "network")
    # libcloud reads its list of prices, which is megabytes and has no such cloud on it, for each size anew.
    driver._get_size_price = lambda _: None
    return driver


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    network = {"networks": [type("Network", (), {"id": told["network"]})()]} if told["network"] else {}
    # The usual way to user-data is an IPv4 address.
    drive = {"ex_config_drive": True} if driver.ex_ipv6_alone else {}
    group = {"ex_security_groups": [type("Group", (), {"name": opened})()]} if opened else {}
    return {
        "size": _named("size", driver.list_sizes(), words.by_word("size", OPENSTACK.sizes, spec.size, told)),
        "image": _named("image", driver.list_images(), words.by_word("image", OPENSTACK.images, spec.image, told)),
        "ex_userdata": spec.user_data,
        "ex_metadata": dict(spec.tags),
        **network,
        **drive,
        **group,
    }


def _named(kind: str, offered: list[Any], wanted: str) -> Any:
    """By id or name. Every OpenStack has its own."""
    for item in offered:
        if wanted in (str(item.id), str(item.name)):
            return item
    known = ", ".join(sorted(str(item.name) for item in offered))
    raise UsageError(
        "cloud.unknown-name", f"this cloud has no {kind} {wanted!r}; it has {known}",
        next_step=f"Name one of them in the inventory: support_tunnel/clouds/openstack/{kind}.",
    )  # fmt: skip


def _listed(driver: Any) -> list[Any]:
    """All pages: Nova gives no more than its `max_limit` at once, and libcloud asks for the first ones alone."""

    def ask(params: Mapping[str, str]) -> Page:
        answer = driver.connection.request("/servers/detail", params=params).object
        following = [link["href"] for link in answer.get("servers_links") or [] if link["rel"] == "next"]
        marker = dict(parse_qsl(urlsplit(following[0]).query))["marker"] if following else ""
        return Page(
            [_reached(driver, node) for node in driver._to_nodes(answer)], {"marker": marker} if marker else None
        )

    return whole(ask, {})


def _reached(driver: Any, node: Any) -> Any:
    """What addresses a server has is the network's to say; where IPv6 alone is wanted no other is used."""
    if driver.ex_ipv6_alone:
        node.public_ips = [address for address in node.public_ips if ":" in address]
        node.private_ips = [address for address in node.private_ips if ":" in address]
    return node


def _written(driver: Any, node: Any) -> str:
    return str(driver.ex_get_console_output(node, _CONSOLE_LINES)["output"] or "")


def _open(driver: Any, spec: ServerSpec, told: Told) -> str:
    """Return its name, which is what a server is made with. Its description holds the tags: groups have none in Nova."""
    group = next((one for one in driver.ex_list_security_groups() if one.name == spec.name), None)
    if group is None:
        described = " ".join(words.words(words.for_server(spec), 80))
        group = driver.ex_create_security_group(spec.name, described)
    have = {(rule.ip_protocol, rule.from_port, rule.ip_range) for rule in group.rules}
    for port in spec.open_ports:
        for network in words.sources(port, told):
            if (port.protocol, port.port, str(network)) not in have:
                driver.ex_create_security_group_rule(group, port.protocol, port.port, port.port, cidr=str(network))
    return spec.name


def _walls(driver: Any, told: Told) -> list[Opened]:
    found = driver.ex_list_security_groups()
    return [Opened(str(wall.id), str(wall.name), words.pairs(str(wall.description).split(" "))) for wall in found]


def _close(driver: Any, wall: Opened, told: Told) -> None:
    driver.connection.request(f"/os-security-groups/{wall.id}", method="DELETE")


OPENSTACK = CloudRow(
    name="openstack",
    title="OpenStack",
    connect=_connect,
    arguments=_arguments,
    tags=lambda node: node.extra["metadata"],
    address=words.any_address,
    genuine=lambda driver: bool(driver.list_sizes()),
    settings=(
        Setting("auth_url", "the address of its identity service (Keystone)", needed=True),
        Setting("user", "a user, or the id of an application credential", needed=True),
        Setting("password", "where the password or the credential's secret is", needed=True, secret=True),
        Setting("project", "the project of a user; left out for an application credential"),
        Setting("domain", "the domain of user and project", default="Default"),
        Setting("region", "a region of its catalogue", needed=True),
        Setting("network", "the UUID of the network of servers, where the project has more than one"),
        words.addresses("any that the network gives, or ipv6 alone; needs a network that gives it", "any", "ipv6"),
        words.SIZE,
        words.IMAGE,
        words.SSH_FROM,
    ),
    listed=_listed,
    baking=BAKING,
    firewall=Firewall(open=_open, listed=_walls, close=_close),
    sizes={"small": "m1.small", "medium": "m1.medium"},
    images={"debian-12": "debian-12", "debian-13": "debian-13"},
    forgotten=frozenset({"terminated", "deleted"}),
    user_data_limit=49_150,
    written=_written,
    console="https://docs.openstack.org/horizon/latest/",
    permissions=("member of a project of its own, or an application credential with access rules for compute",),
    looks=openstack_health.LOOKS,
    accepted=openstack_health.accepted,
)
