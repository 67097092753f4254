"""Microsoft Azure: a resource group a tunnel server, with its own network and rules. One that is off is billed until the group is removed."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from support_tunnel.adapters.clouds import azure_health, words
from support_tunnel.adapters.clouds.drivers import REQUEST_SECONDS, make_safe, point_at
from support_tunnel.adapters.clouds.row import CloudRow, Setting, Told
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import ServerSpec

__all__ = ["AZURE"]

_TEMPLATE = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_NETWORK = "2023-09-01"
_MACHINE = "2023-09-01"


def _connect(told: Told) -> Any:
    make_safe()
    from support_tunnel.adapters.clouds.azure_driver import AzureDriver

    if not told["token"] and not told["client_secret"]:
        raise UsageError("config.missing", "support_tunnel/clouds/azure needs client and client_secret, or token")
    driver = AzureDriver(
        told["client"],
        told["client_secret"].reveal() if told["client_secret"] else "",
        tenant=told["tenant"],
        subscription=told["subscription"],
        token=told["token"].reveal() if told["token"] else "",
        timeout=REQUEST_SECONDS,
    )
    return point_at(driver, told["endpoint"])


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    size = words.by_word("size", AZURE.sizes, spec.size, told)
    publisher, offer, sku, version = words.by_word("image", AZURE.images, spec.image, told).split(":")
    image = {"publisher": publisher, "offer": offer, "sku": sku, "version": version}
    return {
        # Of this attempt alone: a group that is there already may be somebody else's, and PUT would take it over.
        "ex_group": f"{spec.name}-{spec.tags['st-attempt']}",
        "ex_region": told["region"],
        "ex_tags": dict(spec.tags),
        "ex_template": {
            "$schema": _TEMPLATE,
            "contentVersion": "1.0.0.0",
            "parameters": {"customData": {"type": "securestring"}, "password": {"type": "securestring"}},
            "resources": list(_resources(spec, told, size, image)),
        },
        "ex_parameters": {
            "customData": base64.b64encode(spec.user_data.encode()).decode(),
            # Asked for by the API and known to nobody: sshd takes no passwords.
            "password": f"aA1-{secrets.token_urlsafe(40)}",
        },
    }


def _resources(spec: ServerSpec, told: Told, size: str, image: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Named alike; each in the order that `dependsOn` says."""

    def made(kind: str, version: str, properties: Mapping[str, Any], *after: str, **more: Any) -> dict[str, Any]:
        return {
            "type": kind, "apiVersion": version, "name": spec.name, "location": told["region"], "tags": words.for_server(spec),
            "dependsOn": [_id(one, spec.name) for one in after], "properties": properties, **more,
        }  # fmt: skip

    yield made(_RULES, _NETWORK, {"securityRules": list(_rules(spec, told))})
    yield made(_ADDRESS, _NETWORK, {"publicIPAllocationMethod": "Static"}, sku={"name": "Standard"})
    subnet = {"addressPrefix": "10.7.0.0/28", "networkSecurityGroup": {"id": _id(_RULES, spec.name)}}
    space = {
        "addressSpace": {"addressPrefixes": ["10.7.0.0/28"]},
        "subnets": [{"name": "tunnel", "properties": subnet}],
    }
    yield made(_NET, _NETWORK, space, _RULES)
    ip = {
        "subnet": {"id": f"[resourceId('{_NET}/subnets', '{spec.name}', 'tunnel')]"},
        "publicIPAddress": {"id": _id(_ADDRESS, spec.name)},
    }
    yield made(_CARD, _NETWORK, {"ipConfigurations": [{"name": "tunnel", "properties": ip}]}, _NET, _ADDRESS)
    machine = {
        "hardwareProfile": {"vmSize": size},
        "storageProfile": {"imageReference": image, "osDisk": {"createOption": "FromImage", "deleteOption": "Delete"}},
        "osProfile": {
            "computerName": spec.name,
            "adminUsername": "azureuser",
            "adminPassword": "[parameters('password')]",
            "customData": "[parameters('customData')]",
        },
        "networkProfile": {"networkInterfaces": [{"id": _id(_CARD, spec.name)}]},
    }
    yield made("Microsoft.Compute/virtualMachines", _MACHINE, machine, _CARD)


_RULES = "Microsoft.Network/networkSecurityGroups"
_ADDRESS = "Microsoft.Network/publicIPAddresses"
_NET = "Microsoft.Network/virtualNetworks"
_CARD = "Microsoft.Network/networkInterfaces"


def _id(kind: str, name: str) -> str:
    return f"[resourceId('{kind}', '{name}')]"


def _rules(spec: ServerSpec, told: Told) -> Iterator[dict[str, Any]]:
    """What is not allowed is refused by the rules that every group there ends with."""
    priority = 100
    for port in spec.open_ports:
        for version in (4, 6):
            networks = [str(one) for one in words.sources(port, told) if one.version == version]
            if not networks:
                continue
            yield {
                "name": f"{port.protocol}-{port.port}-{version}",
                "properties": {
                    "priority": priority,
                    "direction": "Inbound",
                    "access": "Allow",
                    "protocol": port.protocol.capitalize(),
                    "sourceAddressPrefixes": networks,
                    "sourcePortRange": "*",
                    "destinationAddressPrefix": "*",
                    "destinationPortRange": str(port.port),
                },
            }
            priority += 1


def _price(driver: Any, spec: ServerSpec, told: Told) -> float | None:
    size = words.by_word("size", AZURE.sizes, spec.size, told)
    return words.listed_price("azure_linux", size.replace("_", "").lower(), told["region"])


AZURE = CloudRow(
    name="azure",
    title="Microsoft Azure",
    connect=_connect,
    arguments=_arguments,
    tags=lambda node: node.extra["tags"],
    address=words.address,
    genuine=lambda driver: bool(driver.list_locations()),
    settings=(
        Setting("subscription", "the id of a subscription", needed=True),
        Setting("region", "a location such as germanywestcentral", needed=True),
        Setting("tenant", "the id of the directory that the client is of"),
        Setting("client", "the id of an application (service principal)"),
        Setting("client_secret", "where that application's secret is", secret=True),
        Setting("token", "where an access token is, e.g. of `az account get-access-token`", secret=True),
        words.addresses("ipv4: each network interface has to have it", "ipv4"),
        words.SIZE,
        Setting("image", "publisher:offer:sku:version of a Debian image with cloud-init"),
        words.SSH_FROM,
        Setting("endpoint", "another address of the API than Azure's own"),
    ),
    listed=lambda driver: list(driver.list_nodes(ex_tag="st-tunnel")),
    made=lambda driver, group: driver.ex_made(group),
    sizes={"small": "Standard_B1s", "medium": "Standard_B2s"},
    images={"debian-12": "Debian:debian-12:12-gen2:latest", "debian-13": "Debian:debian-13:13-gen2:latest"},
    user_data_limit=65_535,
    console="https://portal.azure.com/#browse/resourcegroups",
    permissions=(
        "Microsoft.Compute/disks/delete",
        "Microsoft.Compute/disks/read",
        "Microsoft.Compute/disks/write",
        "Microsoft.Compute/virtualMachines/delete",
        "Microsoft.Compute/virtualMachines/read",
        "Microsoft.Compute/virtualMachines/write",
        "Microsoft.Network/networkInterfaces/delete",
        "Microsoft.Network/networkInterfaces/join/action",
        "Microsoft.Network/networkInterfaces/read",
        "Microsoft.Network/networkInterfaces/write",
        "Microsoft.Network/networkSecurityGroups/delete",
        "Microsoft.Network/networkSecurityGroups/join/action",
        "Microsoft.Network/networkSecurityGroups/read",
        "Microsoft.Network/networkSecurityGroups/write",
        "Microsoft.Network/publicIPAddresses/delete",
        "Microsoft.Network/publicIPAddresses/join/action",
        "Microsoft.Network/publicIPAddresses/read",
        "Microsoft.Network/publicIPAddresses/write",
        "Microsoft.Network/virtualNetworks/delete",
        "Microsoft.Network/virtualNetworks/read",
        "Microsoft.Network/virtualNetworks/subnets/join/action",
        "Microsoft.Network/virtualNetworks/subnets/read",
        "Microsoft.Network/virtualNetworks/write",
        "Microsoft.Resources/deployments/operations/read",
        "Microsoft.Resources/deployments/read",
        "Microsoft.Resources/deployments/write",
        "Microsoft.Resources/subscriptions/locations/read",
        "Microsoft.Resources/subscriptions/resourceGroups/delete",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
        "Microsoft.Resources/subscriptions/resourceGroups/write",
    ),
    looks=azure_health.LOOKS,
    hourly=_price,
)
