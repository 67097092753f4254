"""Amazon EC2. A server that powers itself off is terminated, and costs nothing from then on.

Its driver speaks GET, so user-data stands in a URL: ours holds nothing that is worth anything after the first login. A server is made
by a raw call: libcloud's `create_node` cannot ask for an IPv6 address, and its nodes leave theirs out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from support_tunnel.adapters.clouds import ec2_health, words
from support_tunnel.adapters.clouds.drivers import REQUEST_SECONDS, driver_class
from support_tunnel.adapters.clouds.ec2_images import BAKING
from support_tunnel.adapters.clouds.row import CloudRow, Firewall, Opened, Setting, Told
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import ServerSpec

__all__ = ["EC2"]

_ALIVE = ("pending", "running", "shutting-down", "stopping", "stopped")


def _connect(told: Told) -> Any:
    from urllib.parse import urlsplit

    alone = words.ipv6_alone(told, "ec2", "subnet")
    if told["network"] and not told["subnet"]:
        raise UsageError(
            "config.missing", "support_tunnel/clouds/ec2/subnet is missing",
            next_step="Name a subnet of that network: a server is put into a subnet, never into a network.",
        )  # fmt: skip
    key, secret, token = _key(told)
    driver = _with_ipv6(driver_class("ec2")) if alone else driver_class("ec2")
    if told["region"] not in driver.list_regions():
        raise UsageError(
            "cloud.unknown-name", f"no region of EC2 is known here as {told['region']!r}",
            next_step="Name one in the inventory: support_tunnel/clouds/ec2/region, such as eu-central-1.",
        )  # fmt: skip
    at = urlsplit(told["endpoint"])
    elsewhere = {"host": at.hostname, "port": at.port, "secure": at.scheme == "https"} if at.hostname else {}
    return driver(
        key,
        secret,
        region=told["region"],
        token=token,
        signature_version="4",  # the driver's default is 2 for the older regions, which new accounts refuse
        timeout=REQUEST_SECONDS,
        **elsewhere,
    )


def _with_ipv6(driver: Any) -> Any:
    """libcloud's, whose nodes then have their IPv6 addresses too. Elsewhere they would be taken for the server's before it has its IPv4 one."""
    from libcloud.compute.drivers.ec2 import NAMESPACE
    from libcloud.utils.xml import findall

    class Ec2Driver(driver):  # type: ignore[misc]  # a class that libcloud names at run time
        def _to_node(self, element: Any) -> Any:
            node = super()._to_node(element)
            path = "networkInterfaceSet/item/ipv6AddressesSet/item/ipv6Address"
            node.public_ips += [found.text for found in findall(element, path, NAMESPACE)]
            return node

    return Ec2Driver


def _key(told: Told) -> tuple[str, str, str | None]:
    """Id, secret, and the token of a temporary one. All three at once: those of two different keys do not fit together."""
    if not told["credentials"]:
        if not (told["access_key"] and told["secret_key"]):
            raise UsageError(
                "config.missing", "support_tunnel/clouds/ec2 needs access_key and secret_key, or credentials"
            )
        token = told["session_token"].reveal() if told["session_token"] else None
        return told["access_key"], told["secret_key"].reveal(), token
    try:
        found = json.loads(told["credentials"].reveal())
        return found["AccessKeyId"], found["SecretAccessKey"], found.get("SessionToken")
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            "config.value",
            "support_tunnel/clouds/ec2/credentials is not what `aws configure export-credentials` prints",
        ) from None


def _arguments(driver: Any, spec: ServerSpec, told: Told, opened: Any) -> dict[str, Any]:
    return {
        "ImageId": _image(driver, spec, told),
        "InstanceType": words.by_word("size", EC2.sizes, spec.size, told),
        "UserData": base64.b64encode(spec.user_data.encode()).decode(),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "ClientToken": spec.tags["st-attempt"],  # a create that is sent again makes no second server
        **_network(told, opened),
        "ex_tags": dict(spec.tags),
    }


def _network(told: Told, opened: Any) -> dict[str, str]:
    if not told["subnet"]:
        return {"SecurityGroup.1": opened[1]} if opened else {}
    subnet = {"SubnetId": told["subnet"], **({"SecurityGroupId.1": opened[0]} if opened else {})}
    if words.ipv6_alone(told, "ec2", "subnet"):
        return {**subnet, "Ipv6AddressCount": "1", "MetadataOptions.HttpProtocolIpv6": "enabled"}
    # A public address is asked for of an interface, which then has the subnet and the group.
    interface = {"DeviceIndex": "0", "AssociatePublicIpAddress": "true", "DeleteOnTermination": "true", **subnet}
    return {f"NetworkInterface.1.{key}": value for key, value in interface.items()}


def _create(driver: Any, name: str, arguments: dict[str, Any]) -> Any:
    tags = {"Name": name, **arguments["ex_tags"]}
    params = {
        "Action": "RunInstances",
        "MinCount": "1",
        "MaxCount": "1",
        **{key: value for key, value in arguments.items() if key != "ex_tags"},
        **_tagged("instance", tags),
    }
    (node,) = driver._to_nodes(driver.connection.request(driver.path, params=params).object, "instancesSet/item")
    node.name = name
    node.extra["tags"] = tags
    return node


def _tagged(kind: str, tags: Mapping[str, str]) -> dict[str, str]:
    """What gives tags to a thing in the same request that makes it."""
    found = {"TagSpecification.1.ResourceType": kind}
    for number, (key, value) in enumerate(tags.items(), start=1):
        found |= {f"TagSpecification.1.Tag.{number}.Key": key, f"TagSpecification.1.Tag.{number}.Value": value}
    return found


def _image(driver: Any, spec: ServerSpec, told: Told) -> str:
    return ec2_health.newest_image(driver, words.by_word("image", EC2.images, spec.image, told), told["region"])


def _open(driver: Any, spec: ServerSpec, told: Told) -> tuple[str, str]:
    """Security group as (id, name). Its tags are sent with it, so that one of a killed tool can be told from others'."""
    known = driver.ex_get_security_groups(filters={"group-name": [spec.name], "tag-key": ["st-tunnel"]})
    group = known[0].id if known else _new_group(driver, spec, told)
    for rule in _rules(spec, told):
        try:
            driver.connection.request(
                driver.path, params={"Action": "AuthorizeSecurityGroupIngress", "GroupId": group, **rule}
            )
        except Exception as error:  # libcloud has a bare one for this; only a rule that is there already is passed over
            if "InvalidPermission.Duplicate" not in str(error):
                raise
    return group, spec.name


def _new_group(driver: Any, spec: ServerSpec, told: Told) -> str:
    from libcloud.compute.drivers.ec2 import NAMESPACE
    from libcloud.utils.xml import findtext

    params = {"Action": "CreateSecurityGroup", "GroupName": spec.name, "GroupDescription": "support-tunnel"}
    if told["network"]:
        params["VpcId"] = told["network"]
    params |= _tagged("security-group", words.for_server(spec))
    answer = driver.connection.request(driver.path, params=params).object
    return str(findtext(element=answer, xpath="groupId", namespace=NAMESPACE))


def _rules(spec: ServerSpec, told: Told) -> Iterator[Mapping[str, str]]:
    for port in spec.open_ports:
        base = {
            "IpPermissions.1.IpProtocol": port.protocol,
            "IpPermissions.1.FromPort": str(port.port),
            "IpPermissions.1.ToPort": str(port.port),
        }
        for network in words.sources(port, told):
            key = "IpRanges.1.CidrIp" if network.version == 4 else "Ipv6Ranges.1.CidrIpv6"
            yield base | {f"IpPermissions.1.{key}": str(network)}


def _groups(driver: Any, told: Told) -> list[Opened]:
    found = driver.ex_get_security_groups(filters={"tag-key": ["st-tunnel"]})
    return [Opened(group.id, group.name, dict(group.extra["tags"])) for group in found]


def _price(driver: Any, spec: ServerSpec, told: Told) -> float | None:
    return words.listed_price("ec2_linux", words.by_word("size", EC2.sizes, spec.size, told), told["region"])


EC2 = CloudRow(
    name="ec2",
    title="Amazon EC2",
    connect=_connect,
    arguments=_arguments,
    tags=lambda node: node.extra["tags"],
    address=words.address,
    genuine=lambda driver: bool(driver.ex_list_availability_zones(only_available=False)),
    settings=(
        Setting("access_key", "the id of an access key"),
        Setting("secret_key", "where the access key's secret is", secret=True),
        Setting("session_token", "where the token of a temporary access key is", secret=True),
        Setting(
            "credentials", "where a temporary access key is, e.g. cmd:aws configure export-credentials", secret=True
        ),
        Setting("region", "an AWS region such as eu-central-1", needed=True),
        Setting("network", "the id of a VPC, where the account has no default one; needs subnet"),
        Setting("subnet", "the id of a subnet in it"),
        words.addresses("ipv4, or ipv6 alone; needs a subnet that is IPv6-only", "ipv4", "ipv6"),
        words.SIZE,
        words.IMAGE,
        words.SSH_FROM,
        Setting("endpoint", "another address of the API than Amazon's own"),
    ),
    create=_create,
    listed=lambda driver: list(
        driver.list_nodes(ex_filters={"tag-key": ["st-tunnel"], "instance-state-name": list(_ALIVE)})
    ),
    baking=BAKING,
    firewall=Firewall(
        open=_open, listed=_groups, close=lambda driver, wall, told: driver.ex_delete_security_group_by_id(wall.id)
    ),
    sizes={"small": "t3.micro", "medium": "t3.medium"},
    images={"debian-12": "debian-12-amd64-*", "debian-13": "debian-13-amd64-*"},
    user_data_limit=16_384,
    ends_itself="its own power-off terminates it (InstanceInitiatedShutdownBehavior=terminate)",
    billed_when_off=False,
    console="https://console.aws.amazon.com/ec2/home#Instances:tag-key=st-tunnel",
    permissions=(
        "ec2:DescribeInstances",
        "ec2:DescribeAddresses",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeImages",
        "ec2:DescribeSecurityGroups",
        "ec2:GetConsoleOutput",
        "ec2:RunInstances",
        "ec2:TerminateInstances",
        "ec2:CreateTags",
        "ec2:CreateSecurityGroup",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:DeleteSecurityGroup",
    ),
    written=lambda driver, node: driver.ex_get_console_output(node)["output"] or "",
    looks=ec2_health.LOOKS,
    hourly=_price,
)
