"""DigitalOcean. Its tags are words, so ours are `name:value`, and one bare `st-tunnel` that the list is asked for.

A firewall there has no tags of its own, only those of the droplets that it is for: it is for those of one tunnel, and its name holds
the hour in which it is over and the attempt that it was made by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from support_tunnel.adapters.clouds import digitalocean_health, words
from support_tunnel.adapters.clouds.digitalocean_images import BAKING
from support_tunnel.adapters.clouds.drivers import make_safe, point_at
from support_tunnel.adapters.clouds.looking import there
from support_tunnel.adapters.clouds.row import CloudRow, Firewall, Opened, Setting, Told
from support_tunnel.core.ports import ServerSpec

__all__ = ["DIGITALOCEAN"]

_OURS = "st-tunnel"
_TIDIED = 50
"""Words that go at a time: DigitalOcean counts requests."""
_NAME = re.compile(r"(.+)\.([0-9]+)\.([0-9a-f]+)")
"""Of a firewall of ours: the server's, its hour, its attempt."""
_EVERYWHERE = {"addresses": ["0.0.0.0/0", "::/0"]}


def _connect(told: Told) -> Any:
    make_safe()
    from support_tunnel.adapters.clouds.digitalocean_driver import DigitalOceanDriver

    return point_at(DigitalOceanDriver(told["token"].reveal()), told["endpoint"])


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    network = {"vpc_uuid": told["network"]} if told["network"] else {}
    return {
        "size": words.size(driver, words.by_word("size", DIGITALOCEAN.sizes, spec.size, told)),
        "image": _image(driver, words.by_word("image", DIGITALOCEAN.images, spec.image, told)),
        "location": words.location(driver, told["region"]),
        "ex_user_data": spec.user_data,
        # Without the agent there is no web console of the provider's that logs in as root.
        "ex_create_attr": {"tags": [_OURS, *words.words(spec.tags, 255)], "ipv6": True, "with_droplet_agent": False, **network},
    }  # fmt: skip


def _image(driver: Any, word: str) -> Any:
    """DigitalOcean knows its own images by a word and ours by a number, which libcloud would send as text."""
    made = words.image(driver, word)
    if word.isdigit():
        made.id = int(word)
    return made


def _open(driver: Any, spec: ServerSpec, told: Told) -> str:
    name = f"{spec.name}.{spec.tags['st-expires']}.{spec.tags['st-attempt']}"
    for known in driver.ex_firewalls():
        if known["name"] == name:
            return str(known["id"])
    tag = f"{_OURS}:{spec.tags[_OURS]}"
    driver.ex_make_tag(tag)
    inbound = [
        {
            "protocol": port.protocol,
            "ports": str(port.port),
            "sources": {"addresses": [str(network) for network in words.sources(port, told)]},
        }
        for port in spec.open_ports
    ]
    # Without rules for it, nothing gets out.
    outbound = [
        {"protocol": protocol, "ports": "0", "destinations": _EVERYWHERE} for protocol in ("tcp", "udp", "icmp")
    ]
    made = driver.ex_open_firewall({"name": name, "tags": [tag], "inbound_rules": inbound, "outbound_rules": outbound})
    return str(made["id"])


def _walls(driver: Any, told: Told) -> list[Opened]:
    found = []
    for wall in driver.ex_firewalls():
        tags = words.pairs(wall.get("tags") or [])
        named = _NAME.fullmatch(str(wall["name"]))
        if _OURS in tags and named:
            name, expires, attempt = named.groups()
            found.append(Opened(str(wall["id"]), name, {**tags, "st-expires": expires, "st-attempt": attempt}))
    return found


def _close(driver: Any, wall: Opened, told: Told) -> None:
    there(lambda: driver.ex_close_firewall(wall.id))  # gone by an earlier try, whose answer or whose next step was lost
    # Last: by its tag a firewall is known to be ours. It goes from the whole account, so not one that an operator has put there.
    driver.ex_remove_tag(f"{_OURS}:{wall.tags[_OURS]}")


def _tidy(driver: Any, now: datetime) -> None:
    """Words that nothing carries and nothing new will: of an attempt, and of an end that is past. Of many, some at a time.

    A word goes from the whole account, so one that a server being made might get (its owner's, its tunnel's) is not touched.
    """
    over = [name for name, used in driver.ex_tags() if used == 0 and _is_over(name, now)]
    for name in over[:_TIDIED]:
        driver.ex_remove_tag(name)


def _is_over(word: str, now: datetime) -> bool:
    name, _, value = word.partition(":")
    past = value.isascii() and value.isdigit() and int(value) < now.timestamp()
    return (name == "st-expires" and past) or (name == "st-attempt" and re.fullmatch("[0-9a-f]{16}", value) is not None)


def _tags(node: Any) -> Mapping[str, str]:
    """A tunnel's word goes from the whole account with its firewall, so also from a server that no list showed at that moment: the bare
    word and its hour stay on it, and by them it is ours still, of no tunnel that anybody knows."""
    found = words.pairs(node.extra["tags"])
    lost = _OURS in node.extra["tags"] and _OURS not in found and "st-expires" in found
    return {_OURS: "", **found} if lost else found


def _price(driver: Any, spec: ServerSpec, told: Told) -> float | None:
    wanted = words.by_word("size", DIGITALOCEAN.sizes, spec.size, told)
    return next((float(size.extra["price_hourly"]) for size in driver.list_sizes() if size.name == wanted), None)


DIGITALOCEAN = CloudRow(
    name="digitalocean",
    title="DigitalOcean",
    connect=_connect,
    arguments=_arguments,
    tags=_tags,
    address=words.address,
    genuine=lambda driver: bool(driver.list_locations()),
    settings=(
        Setting("token", "where an access token is", needed=True, secret=True),
        Setting("region", "a region such as fra1", needed=True),
        Setting("network", "the UUID of a VPC, in place of the region's default one"),
        words.addresses("both: no droplet is without IPv4", "both"),
        words.SIZE,
        words.IMAGE,
        words.SSH_FROM,
        Setting("endpoint", "another address of the API than DigitalOcean's own"),
    ),
    listed=lambda driver: list(driver.ex_list_by_tag(_OURS)),
    tidy=_tidy,
    baking=BAKING,
    firewall=Firewall(open=_open, listed=_walls, close=_close),
    sizes={"small": "s-1vcpu-1gb", "medium": "s-2vcpu-2gb"},
    images={"debian-12": "debian-12-x64", "debian-13": "debian-13-x64"},
    user_data_limit=65_536,
    console="https://cloud.digitalocean.com/droplets",
    permissions=(
        "droplet:create",
        "droplet:read",
        "droplet:delete",
        "tag:create",
        "tag:read",
        "tag:delete",
        "firewall:create",
        "firewall:read",
        "firewall:delete",
        "regions:read",
        "sizes:read",
        "image:read",
    ),
    looks=digitalocean_health.LOOKS,
    hourly=_price,
)
