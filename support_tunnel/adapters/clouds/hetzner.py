"""Hetzner Cloud, by a driver of our own. A server that is off is billed there until it is deleted."""

from __future__ import annotations

from typing import Any

from support_tunnel.adapters.clouds import hetzner_health, words
from support_tunnel.adapters.clouds.drivers import REQUEST_SECONDS, make_safe, point_at
from support_tunnel.adapters.clouds.hetzner_images import BAKING
from support_tunnel.adapters.clouds.row import CloudRow, Firewall, Opened, Setting, Told
from support_tunnel.core.ports import ServerSpec

__all__ = ["HETZNER"]


def _connect(told: Told) -> Any:
    make_safe()
    from support_tunnel.adapters.clouds.hetzner_driver import HetznerDriver

    return point_at(HetznerDriver(told["token"].reveal(), timeout=REQUEST_SECONDS), told["endpoint"])


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    return {
        "size": words.size(driver, words.by_word("size", HETZNER.sizes, spec.size, told)),
        "image": words.image(driver, words.by_word("image", HETZNER.images, spec.image, told)),
        "location": words.location(driver, told["region"]),
        "ex_userdata": spec.user_data,
        "ex_labels": words.labels(spec.tags),
        "ex_firewalls": (opened,) if opened else (),
        "ex_ipv4": not words.ipv6_alone(told, "hetzner"),
        "ex_networks": (int(told["network"]),) if told["network"] else (),
    }


def _open(driver: Any, spec: ServerSpec, told: Told) -> int:
    for known in driver.ex_firewalls("st-tunnel"):
        if known["name"] == spec.name:
            return int(known["id"])
    rules = [
        {
            "direction": "in",
            "protocol": port.protocol,
            "port": str(port.port),
            "source_ips": [str(network) for network in words.sources(port, told)],
        }
        for port in spec.open_ports
    ]
    return int(driver.ex_open_firewall(spec.name, rules, words.labels(words.for_server(spec))))


def _walls(driver: Any, told: Told) -> list[Opened]:
    found = driver.ex_firewalls("st-tunnel")
    return [Opened(str(wall["id"]), str(wall["name"]), words.tags_of(wall["labels"])) for wall in found]


def _price(driver: Any, spec: ServerSpec, told: Told) -> float | None:
    """In euros there, which is near enough to dollars for an estimate; net, without the address's own price."""
    wanted = words.by_word("size", HETZNER.sizes, spec.size, told)
    for size in driver.list_sizes():
        for price in size.extra["prices"] if size.id == wanted else ():
            if price["location"] == told["region"]:
                return float(price["price_hourly"]["net"])
    return None


HETZNER = CloudRow(
    name="hetzner",
    title="Hetzner Cloud",
    connect=_connect,
    arguments=_arguments,
    tags=lambda node: words.tags_of(node.extra["labels"]),
    address=words.address,
    genuine=lambda driver: bool(driver.list_locations()),
    settings=(
        Setting("token", "where a project's API token is", needed=True, secret=True),
        Setting("region", "a location such as fsn1", needed=True),
        Setting("network", "the number of a private network that servers join too"),
        words.addresses("both, or ipv6 alone", "both", "ipv6"),
        words.SIZE,
        words.IMAGE,
        words.SSH_FROM,
        Setting("endpoint", "another address of the API than Hetzner's own"),
    ),
    listed=lambda driver: list(driver.list_nodes(ex_label_selector="st-tunnel")),
    baking=BAKING,
    firewall=Firewall(open=_open, listed=_walls, close=lambda driver, wall, told: driver.ex_close_firewall(wall.id)),
    sizes={"small": "cx23", "medium": "cx33"},
    images={"debian-12": "debian-12", "debian-13": "debian-13"},
    user_data_limit=32_768,
    console="https://console.hetzner.cloud/projects",
    permissions=("Read & Write (a token of a project of its own: Hetzner has no finer ones)",),
    looks=hetzner_health.LOOKS,
    hourly=_price,
)
