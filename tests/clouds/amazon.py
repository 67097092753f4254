"""EC2 as moto plays it, with state. Its answers are put right in the three places where libcloud reads what real EC2 sends:
the namespace's last slash, no namespace in errors, and a `<return>` in what deletes. The tags that CreateImage is asked to give
a snapshot, which moto refuses, are given to it afterwards.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from tests.clouds.gate import Answer, Request

__all__ = ["Amazon"]

_REGION = "eu-central-1"
_ACCOUNT = "123456789012"
"""Of whoever asks moto."""
_NAMESPACE = b'xmlns="http://ec2.amazonaws.com/doc/2016-11-15"'
_REFUSALS = {
    "auth": (401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
    "quota": (400, "InstanceLimitExceeded", "You have requested more instances (1) than your current instance limit of 0"),
    "rate": (503, "RequestLimitExceeded", "Request limit exceeded."),
    "bad-request": (400, "InvalidParameterValue", "Invalid value 't9.tiny' for InstanceType."),
    "retry": (500, "InternalError", "An internal error has occurred"),
}  # fmt: skip


class Amazon:
    name = "ec2"

    def __init__(self) -> None:
        # Read when moto is imported and made: images with the names that Debian publishes, and one that somebody else does.
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("MOTO_AMIS_PATH", str(Path(__file__).with_name("moto_images.json")))
            environment.setenv("MOTO_ENABLE_AMI_VALIDATION", "true")
            from moto.backends import get_backend
            from moto.core import DEFAULT_ACCOUNT_ID
            from moto.server import DomainDispatcherApplication, create_backend_app
            from werkzeug.test import Client

            self.backend: Any = get_backend("ec2")[DEFAULT_ACCOUNT_ID][_REGION]
            self.backend.reset()
        self._client = Client(DomainDispatcherApplication(create_backend_app))

    def settings(self, url: str) -> dict[str, str]:
        return {"access_key": "testing", "secret_key": "canary-secret-key", "region": _REGION, "endpoint": url}

    def handle(self, request: Request) -> Answer:
        given = {name: value for name, value in request.headers.items() if name not in ("connection", "content-length")}
        target, tags = _without_tags_of_snapshots(request.target)
        told = self._client.open(target, method=request.method, headers=given, data=request.body)
        body = told.get_data()
        if tags and told.status_code == 200:
            newest = list(self.backend.amis.values())[-1]
            newest.ebs_snapshot.add_tags(tags)
        if _NAMESPACE in body:
            body = body.replace(_NAMESPACE, _NAMESPACE[:-1] + b'/"' if told.status_code < 300 else b"")
            if told.status_code < 300 and b"<return>" not in body:
                body = re.sub(rb"(<Delete\w+Response [^>]*>)", rb"\1<return>true</return>", body)
        return Answer(told.status_code, body, "text/xml;charset=UTF-8")

    def creates(self, request: Request) -> bool:
        return request.query.get("Action") == "RunInstances"

    def lists(self, request: Request) -> bool:
        return request.query.get("Action") == "DescribeInstances"

    def destroys(self, request: Request) -> bool:
        return request.query.get("Action") == "TerminateInstances"

    def turn_off(self, number: str) -> None:
        raise AssertionError("its power-off would end it")

    def pictures(self) -> list[str]:
        return [image.id for image in self.backend.amis.values() if image.owner_id == _ACCOUNT]

    def foreign_picture(self) -> str:
        running = next(one for one in self._instances() if one.state == "running")
        return str(self.backend.create_image(running.id, "web-team", "web", []).id)

    def everything(self) -> list[str]:
        return [one.id for one in self._instances() if one.state not in ("terminated", "shutting-down")]

    def _instances(self) -> list[Any]:
        return [one for reservation in self.backend.reservations.values() for one in reservation.instances]

    def walls(self) -> list[str]:
        groups = [group for by_id in self.backend.groups.values() for group in by_id.values()]
        return [group.id for group in groups if group.name != "default"]

    def rules(self) -> set[tuple[str, int, str]]:
        groups = [
            group for by_id in self.backend.groups.values() for group in by_id.values() if group.name != "default"
        ]
        rules = [rule for group in groups for rule in group.ingress_rules]
        assert all(rule.from_port == rule.to_port for rule in rules)
        return {(rule.ip_protocol, rule.from_port, *rule.ip_range.values()) for rule in rules}

    def ipv6_subnet(self) -> dict[str, str]:
        """Settings of a VPC and a subnet in it that is IPv6-only."""
        vpc = self.backend.create_vpc("10.7.0.0/16", amazon_provided_ipv6_cidr_block=True)
        (block,) = vpc.get_cidr_block_association_set(ipv6=True)
        range64 = block["cidr_block"].replace("/56", "/64")
        made = self.backend.create_subnet(
            vpc.id, None, ipv6_cidr_block=range64, availability_zone=f"{_REGION}a", ipv6_native=True
        )
        return {"network": vpc.id, "subnet": made.id}

    def foreign(self, name: str) -> str:
        made = self.backend.run_instances(
            "ami-0000000000000d131", 1, "", [], instance_type="t3.micro", tags={"instance": {"Name": name, "team": "web"}},
            is_instance_type_default=False, ebs_optimized=False, associate_public_ip=False,
        )  # fmt: skip
        return str(made.instances[0].id)

    def holds(self, name: str) -> bool:
        return any(group.name == name for group in self.backend.describe_security_groups())

    def foreign_wall(self, name: str) -> str:
        return str(self.backend.create_security_group(name, "web", None).id)

    def refusal(self, kind: str) -> Answer:
        return self.refused(*_REFUSALS[kind][1:], status=_REFUSALS[kind][0])

    @staticmethod
    def refused(code: str, message: str, status: int = 403) -> Answer:
        body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
        return Answer(status, body.encode(), "text/xml")


def _without_tags_of_snapshots(target: str) -> tuple[str, dict[str, str]]:
    path, _, query = target.partition("?")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    numbers = [
        name.split(".")[1] for name, value in asked.items() if name.endswith(".ResourceType") and value == "snapshot"
    ]
    if asked.get("Action") != "CreateImage" or not numbers:
        return target, {}
    before = f"TagSpecification.{numbers[0]}."
    keys = {
        name.removesuffix(".Key"): value
        for name, value in asked.items()
        if name.startswith(before) and name.endswith(".Key")
    }
    tags = {key: asked[f"{name}.Value"] for name, key in keys.items()}
    return f"{path}?{urlencode({name: value for name, value in asked.items() if not name.startswith(before)})}", tags
