"""Google Compute Engine. Google deletes a server itself when its time is over, whether or not anybody comes back.

Its Debian images run no cloud-init: a start-up script installs it and lets it read the same user-data. Until it has, the image's own
host key answers, which the first contact waits out. Where an image of one's own has cloud-init, the script does nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from support_tunnel.adapters.clouds import gce_health, words
from support_tunnel.adapters.clouds.drivers import REQUEST_SECONDS, make_safe, point_at
from support_tunnel.adapters.clouds.gce_images import BAKING
from support_tunnel.adapters.clouds.row import CloudRow, Firewall, Opened, Setting, Told
from support_tunnel.core.errors import CloudError, UsageError
from support_tunnel.core.ports import OpenPort, ServerSpec

__all__ = ["GCE", "START_UP"]

_NAMESPACE = uuid.UUID("6f1b7b52-70a5-4d1a-9b1e-3f2f6f0f5a11")
_SPARE_SECONDS = 600
"""By how much Google's own end comes after the server's."""
_LONGEST_LIFE = 86_400
"""Where nobody says how long."""
_SHARES = {"e2-micro": (0.25, 1.0), "e2-medium": (1.0, 4.0)}
"""Cores and gigabytes that Google bills for its shared sizes."""
START_UP = """#!/bin/sh
set -eu
command -v cloud-init >/dev/null && exit 0
apt-get -o Acquire::Retries=3 update
DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 install -y --no-install-recommends cloud-init
cloud-init init --local
cloud-init init
cloud-init modules --mode=config
cloud-init modules --mode=final
# It runs already, with the image's host key in memory and without what cloud-init wrote for it.
systemctl restart ssh
"""


def _connect(told: Told) -> Any:
    words.ipv6_alone(told, "gce", "subnet")
    make_safe()
    from support_tunnel.adapters.clouds.gce_driver import GceDriver

    where = {"project": told["project"], "zone": told["region"], "timeout": REQUEST_SECONDS}
    if told["token"]:
        return point_at(GceDriver("token", "", token=told["token"].reveal(), **where), told["endpoint"])
    if not told["key"]:
        raise UsageError("config.missing", "support_tunnel/clouds/gce needs key or token")
    try:
        account = json.loads(told["key"].reveal())
        user = account["client_email"]
    except (ValueError, KeyError, TypeError):
        raise UsageError("config.value", "support_tunnel/clouds/gce/key is no service account's key in JSON") from None
    return point_at(GceDriver(user, account, **where), told["endpoint"])


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    size = words.by_word("size", GCE.sizes, spec.size, told)
    body = {
        "machineType": f"zones/{told['region']}/machineTypes/{size}",
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {"sourceImage": words.by_word("image", GCE.images, spec.image, told)},
            }
        ],
        "networkInterfaces": [_interface(told)],
        "labels": words.labels(spec.tags),
        "tags": {"items": [spec.name]},
        "metadata": {
            "items": [
                {"key": "user-data", "value": spec.user_data},
                {"key": "startup-script", "value": START_UP},
                {"key": "block-project-ssh-keys", "value": "true"},
            ]
        },
        "serviceAccounts": [],  # else it gets the project's default one
        "scheduling": {
            "maxRunDuration": {"seconds": str((spec.lifetime or _LONGEST_LIFE) + _SPARE_SECONDS)},
            "instanceTerminationAction": "DELETE",
            "automaticRestart": False,
        },
    }
    return {"ex_body": body, "ex_request": str(uuid.uuid5(_NAMESPACE, spec.tags["st-attempt"]))}


def _interface(told: Told) -> dict[str, Any]:
    subnet = {"subnetwork": told["subnet"]} if told["subnet"] else {}
    public: dict[str, Any] = {"accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    if words.ipv6_alone(told, "gce", "subnet"):
        access = {"type": "DIRECT_IPV6", "name": "external-ipv6", "networkTier": "PREMIUM"}
        public = {"stackType": "IPV6_ONLY", "ipv6AccessConfigs": [access]}
    return {"network": f"global/networks/{told['network']}", **subnet, **public}


def _open(driver: Any, spec: ServerSpec, told: Told) -> None:
    """One rule may not mix IPv4 and IPv6, nor have two sets of sources: up to four, for the network tag of one server."""
    there = {rule["name"]: _tags(rule) for rule in driver.ex_firewalls()}
    described = " ".join(words.words(words.for_server(spec), 80))
    for name, ports, networks in _rules(spec, told):
        if name in there and there[name].get("st-attempt") != spec.tags["st-attempt"]:
            raise CloudError(
                "cloud.taken", f"the cloud gce has a firewall rule {name} that is not this tunnel's",
                next_step=f"Remove rule {name} in the cloud's own console.",
            )  # fmt: skip
        if name not in there:
            driver.ex_open_firewall(
                {
                    "name": name,
                    "description": described,
                    "network": f"global/networks/{told['network']}",
                    "direction": "INGRESS",
                    "allowed": [{"IPProtocol": port.protocol, "ports": [str(port.port)]} for port in ports],
                    "sourceRanges": networks,
                    "targetTags": [spec.name],
                }
            )


def _rules(spec: ServerSpec, told: Told) -> Iterator[tuple[str, list[OpenPort], list[str]]]:
    ssh = [port for port in spec.open_ports if port == OpenPort("tcp", 22)]
    rest = [port for port in spec.open_ports if port not in ssh]
    for kind, ports in (("ssh", ssh), ("tunnel", rest)):
        for version in (4, 6):
            networks = [str(one) for one in (words.sources(ports[0], told) if ports else []) if one.version == version]
            if networks:
                yield f"{spec.name}-{kind}-{version}", ports, networks


def _walls(driver: Any, told: Told) -> list[Opened]:
    found: dict[str, Opened] = {}
    for target, rule, tags in _ours(driver):
        rules = found[target].rules if target in found else ()
        found[target] = Opened(target, target, tags, (*rules, rule))
    return [*found.values()]


def _close(driver: Any, wall: Opened, told: Told) -> None:
    for rule in wall.rules:
        driver.ex_close_firewall(rule)


def _ours(driver: Any) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """Our rules: the one server that each is for, its name, its tags. One for several servers was changed by somebody."""
    for rule in driver.ex_firewalls():
        tags, targets = _tags(rule), rule.get("targetTags", [])
        if "st-tunnel" in tags and len(targets) == 1:
            yield targets[0], rule["name"], tags


def _tags(rule: Mapping[str, Any]) -> Mapping[str, str]:
    return words.pairs(str(rule.get("description", "")).split(" "))


def _price(driver: Any, spec: ServerSpec, told: Told) -> float | None:
    """Of our own sizes, by libcloud's list of what a core and a gigabyte cost in a region; its 0.0 means that it does not know."""
    from libcloud.pricing import get_pricing

    size, region = words.by_word("size", GCE.sizes, spec.size, told), told["region"].rpartition("-")[0]
    if size not in _SHARES:
        return None
    listed = get_pricing("compute", "gce_instances")["e2"]
    prices = [listed[what]["on_demand"].get(region, {}).get("price") for what in ("cpu", "ram")]
    return sum(share * price for share, price in zip(_SHARES[size], prices, strict=True)) if all(prices) else None


GCE = CloudRow(
    name="gce",
    title="Google Compute Engine",
    connect=_connect,
    arguments=_arguments,
    tags=lambda node: words.tags_of(node.extra["labels"]),
    address=words.address,
    genuine=lambda driver: bool(driver.list_locations()),
    settings=(
        Setting("project", "the id of a project", needed=True),
        Setting("region", "a zone such as europe-west3-c", needed=True),
        Setting("key", "where a service account's key is, in JSON", secret=True),
        Setting("token", "where an access token is, e.g. cmd:gcloud auth print-access-token", secret=True),
        Setting("network", "the name of a network", default="default"),
        Setting("subnet", "a subnetwork, e.g. regions/europe-west3/subnetworks/tunnels"),
        words.addresses("ipv4, or ipv6 alone; needs a network and subnet that give it", "ipv4", "ipv6"),
        words.SIZE,
        words.IMAGE,
        words.SSH_FROM,
        Setting("endpoint", "another address of the API than Google's own"),
    ),
    listed=lambda driver: list(driver.list_nodes(ex_label="st-tunnel")),
    baking=BAKING,
    firewall=Firewall(open=_open, listed=_walls, close=_close),
    sizes={"small": "e2-micro", "medium": "e2-medium"},
    images={
        "debian-12": "projects/debian-cloud/global/images/family/debian-12",
        "debian-13": "projects/debian-cloud/global/images/family/debian-13",
    },
    user_data_limit=262_144,
    boot_seconds=480.0,
    ends_itself="Google deletes it after its longest run (maxRunDuration, DELETE)",
    console="https://console.cloud.google.com/compute/instances",
    permissions=(
        "compute.instances.create",
        "compute.instances.get",
        "compute.instances.getSerialPortOutput",
        "compute.instances.list",
        "compute.instances.delete",
        "compute.instances.setLabels",
        "compute.instances.setMetadata",
        "compute.instances.setTags",
        "compute.disks.create",
        "compute.subnetworks.use",
        "compute.subnetworks.useExternalIp",
        "compute.networks.updatePolicy",
        "compute.firewalls.create",
        "compute.firewalls.get",
        "compute.firewalls.list",
        "compute.firewalls.delete",
        "compute.zones.list",
        "compute.zoneOperations.get",
        "compute.globalOperations.get",
    ),
    written=lambda driver, node: driver.ex_written(node),
    looks=gce_health.LOOKS,
    hourly=_price,
)
