"""What `fab doctor` asks EC2. Rights by dry runs: EC2 says whether it would have done a thing, and does not do it.

An API that passes for EC2 may not know dry runs. So only one that answered a dry run of a mere look gets those of what would make
or end something, and what is to be ended then cannot exist. Its limit of servers EC2 tells nobody without another service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from support_tunnel.adapters.cloud_failure import as_cloud_error, classify
from support_tunnel.adapters.clouds.looking import NOT_TOLD
from support_tunnel.adapters.clouds.row import Look, Told, Wanted
from support_tunnel.core.cloud_health import judge_offered, judge_right, judge_room, judge_there
from support_tunnel.core.device_health import Check
from support_tunnel.core.errors import CloudError

__all__ = ["LOOKS", "newest_image"]

_DEBIAN = "136693071363"
"""The account that Debian publishes its images from (wiki.debian.org/Cloud/AmazonEC2Image)."""
_NO_SERVER, _NO_GROUP = "i-00000000000000000", "sg-00000000000000000"
_LOOKING, _TAGS = "ec2:Describe", "ec2:CreateTags"


def newest_image(driver: Any, name: str, region: str) -> str:
    """The id of the newest of a family. Only Debian's own account is asked: anybody may publish an image of that name."""
    if name.startswith("ami-"):
        return name
    found = driver.list_images(ex_owner=_DEBIAN, ex_filters={"name": name})
    if not found:
        raise CloudError(
            "cloud.unknown-name", f"EC2 has no image {name} of Debian in region {region}",
            next_step="Name one in the inventory: support_tunnel/clouds/ec2/image, as ami-...",
        )  # fmt: skip
    return str(max(found, key=lambda image: str(image.name)).id)


def _region(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    zones = driver.ex_list_availability_zones(only_available=True)
    yield judge_offered("region", wanted.region, [zone.region_name for zone in zones])


def _size(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    from libcloud.compute.drivers.ec2 import NAMESPACE
    from libcloud.utils.xml import findall

    asked = {"LocationType": "region", "Filter.1.Name": "instance-type", "Filter.1.Value.1": wanted.size}
    answer = _ask(driver, "DescribeInstanceTypeOfferings", asked)
    found = [item.text for item in findall(answer, "instanceTypeOfferingSet/item/instanceType", NAMESPACE)]
    yield judge_there("size", wanted.size, wanted.size in found, f"in {wanted.region}")


def _image(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    image = newest_image(driver, wanted.image, wanted.region)
    try:
        found = bool(driver.list_images(ex_image_ids=[image]))
    except Exception as error:  # libcloud has a bare one for this; all but an absence goes on up
        if "InvalidAMIID" not in str(error):
            raise
        found = False
    yield judge_there("image", image, found, f"in {wanted.region}")


@dataclass(frozen=True, slots=True)
class _Dry:
    """What a dry run was answered."""

    would: bool | None = None
    """None: it was refused for another reason than rights, or not asked."""
    lacks: str = ""
    """The right that is missing, where EC2 names it."""
    full: bool = False
    """Whether it was refused for a limit."""
    said: str = ""
    """What it was refused for, where that was no right."""
    done: bool = False
    """It was no dry run: the thing was done."""


def _rights(driver: Any, wanted: Wanted, told: Told) -> Iterator[Check]:
    looks = {right: _dry(driver, right) for right in wanted.rights if right.startswith(_LOOKING)}
    knows_dry_runs = any(dry.would and not dry.done for dry in looks.values())
    made = _made(driver, wanted, told) if knows_dry_runs else {}
    full = next((dry for dry in made.values() if dry.full), None)
    if full:
        yield Check("quota", "fail", full.said, "End servers there, or have the limit raised in AWS's Service Quotas.")
    else:
        yield judge_room(())
    for right in wanted.rights:
        dry = {**made, **looks}.get(right, _Dry())
        unsaid = NOT_TOLD if right in made else "no dry run of a mere look was answered as one"
        yield judge_right(right, dry.would, dry.said or unsaid)


def _made(driver: Any, wanted: Wanted, told: Told) -> dict[str, _Dry]:
    """By right: what would make a server and its group, and what would end ones that cannot exist."""
    ingress = {
        "GroupId": _NO_GROUP,
        "IpPermissions.1.IpProtocol": "tcp",
        "IpPermissions.1.FromPort": "22",
        "IpPermissions.1.ToPort": "22",
        "IpPermissions.1.IpRanges.1.CidrIp": "192.0.2.0/32",
    }
    network = {"VpcId": told["network"]} if told["network"] else {}
    group = {"GroupName": "st-doctor", "GroupDescription": "support-tunnel", **network, **_tagged("security-group")}
    run = _run(driver, wanted, told)
    if run.done:
        raise CloudError(
            "cloud.odd-answer", "this API made a server when it was asked whether it would",
            next_step="End what carries the tag st-tunnel=doctor there, and report it.",
        )  # fmt: skip
    # Its tags are given with it, so who may not tag may not run. EC2 names which of the two is missing.
    only_tags = run.lacks == _TAGS
    return {
        "ec2:RunInstances": _Dry() if only_tags else run,
        _TAGS: _Dry(False) if only_tags else _Dry(run.would or None),
        "ec2:GetConsoleOutput": _dry(driver, "ec2:GetConsoleOutput", {"InstanceId": _NO_SERVER}),
        "ec2:TerminateInstances": _dry(driver, "ec2:TerminateInstances", {"InstanceId.1": _NO_SERVER}),
        "ec2:CreateSecurityGroup": _dry(driver, "ec2:CreateSecurityGroup", group),
        "ec2:AuthorizeSecurityGroupIngress": _dry(driver, "ec2:AuthorizeSecurityGroupIngress", ingress),
        "ec2:DeleteSecurityGroup": _dry(driver, "ec2:DeleteSecurityGroup", {"GroupId": _NO_GROUP}),
    }


def _run(driver: Any, wanted: Wanted, told: Told) -> _Dry:
    try:
        image = newest_image(driver, wanted.image, wanted.region)
    except CloudError:
        return _Dry()  # there is no such image, as another check says
    subnet = {"SubnetId": told["subnet"]} if told["subnet"] else {}
    server = {"ImageId": image, "InstanceType": wanted.size, "MinCount": "1", "MaxCount": "1", **subnet}
    return _dry(driver, "ec2:RunInstances", {**server, **_tagged("instance")})


def _tagged(kind: str) -> dict[str, str]:
    tag = "TagSpecification.1"
    return {f"{tag}.ResourceType": kind, f"{tag}.Tag.1.Key": "st-tunnel", f"{tag}.Tag.1.Value": "doctor"}


def _dry(driver: Any, right: str, asked: Mapping[str, str] | None = None) -> _Dry:
    try:
        _ask(driver, right.removeprefix("ec2:"), {**(asked or {}), "DryRun": "true"})
    except Exception as error:  # drivers raise bare ones too; a dry run is always answered with an error
        text, kind = str(error), classify(error)
        if "DryRunOperation" in text:
            return _Dry(True)
        if kind in ("auth", "rate", "retry"):
            raise
        if kind == "forbidden":
            named = re.search(r"not authorized to perform: (ec2:\w+)", text)
            return _Dry(False, named[1] if named else "")
        if "NotFound" in text or "Malformed" in text:
            return _Dry()
        return _Dry(full=kind == "quota", said=as_cloud_error("ec2", error).message)
    return _Dry(True, done=True)


def _ask(driver: Any, action: str, asked: Mapping[str, str]) -> Any:
    return driver.connection.request(driver.path, params={"Action": action, **asked}).object


LOOKS = (
    Look("region", _region),
    Look("size", _size, "ec2:DescribeInstanceTypeOfferings"),
    Look("image", _image),
    Look("permissions", _rights),
)
