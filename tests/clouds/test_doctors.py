"""What the doctor of one cloud alone has to get right: dry runs that are none, rights of another name, questions that may not be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from support_tunnel.adapters.clouds import azure_health, gce_driver
from support_tunnel.adapters.clouds.row import Wanted
from support_tunnel.core.device_health import Check
from tests.clouds.amazon import Amazon
from tests.clouds.digitalocean import DigitalOcean
from tests.clouds.gate import Answer, Fault, Gate, Request, gate
from tests.clouds.google import Google
from tests.clouds.linode import Linode
from tests.clouds.openstack import Openstack
from tests.clouds.test_every_doctor import examined, states, unauthorized


def by_name(checks: list[Check]) -> Mapping[str, Check]:
    return {one.name: one for one in checks}


class Deaf(Amazon):
    """An API that passes for EC2 and does what it is asked to pretend."""

    deaf_to = ("",)

    def handle(self, request: Request) -> Answer:
        if request.query.get("Action", "").startswith(self.deaf_to):
            target = request.target.replace("&DryRun=true", "").replace("DryRun=true&", "")
            request = replace(request, target=target)
        return super().handle(request)


class DeafToLaunches(Deaf):
    deaf_to = ("RunInstances",)


@pytest.fixture
def amazon() -> Iterator[Gate]:
    with gate(Amazon()) as made:
        yield made


def test_an_api_without_dry_runs_is_asked_for_none_that_could_make_something() -> None:
    with gate(Deaf()) as made:
        checks = examined(made)
        assert states(checks, "fail") == set()
        assert {"permission ec2:RunInstances", "permission ec2:CreateSecurityGroup"} <= states(checks, "unknown")
        assert by_name(checks)["permission ec2:DescribeImages"].state == "ok", "it was done, so it is allowed"
        assert {one.query["Action"] for one in made.log if not one.query["Action"].startswith("Describe")} == set()


def test_a_dry_run_that_was_none_is_told() -> None:
    with gate(DeafToLaunches()) as made:
        (failed,) = [one for one in examined(made) if one.state == "fail"]
        assert "made a server" in failed.said
        assert "st-tunnel=doctor" in failed.fix


def test_who_may_not_tag_is_not_told_to_lack_the_launch(amazon: Gate) -> None:
    amazon.faults = [unauthorized("ec2:RunInstances", named="ec2:CreateTags")]
    checks = examined(amazon)
    assert states(checks, "fail") == {"permission ec2:CreateTags"}
    assert "permission ec2:RunInstances" in states(checks, "unknown")


def test_who_may_not_launch_is_not_said_to_be_able_to_tag(amazon: Gate) -> None:
    amazon.faults = [unauthorized("ec2:RunInstances")]
    checks = examined(amazon)
    assert states(checks, "fail") == {"permission ec2:RunInstances"}
    assert "permission ec2:CreateTags" in states(checks, "unknown")


def test_what_else_would_keep_a_server_from_being_launched_is_told_in_ec2s_words(amazon: Gate) -> None:
    refused = Amazon.refused("VPCIdNotSpecified", "No default VPC for this user", status=400)
    amazon.faults = [Fault(amazon.provider.creates, refused)]
    checks = by_name(examined(amazon))
    assert "No default VPC for this user" in checks["permission ec2:RunInstances"].said
    assert checks["permission ec2:RunInstances"].state == checks["permission ec2:CreateTags"].state == "unknown"
    assert checks["quota"].state == "unknown"


def test_ec2_that_looks_for_the_thing_before_the_right(amazon: Gate) -> None:
    gone = Amazon.refused(
        "InvalidInstanceID.NotFound", "The instance ID 'i-00000000000000000' does not exist", status=400
    )
    amazon.faults = [Fault(amazon.provider.destroys, gone)]
    checks = examined(amazon)
    assert states(checks, "fail") == set()
    assert "permission ec2:TerminateInstances" in states(checks, "unknown")


def test_a_right_that_only_the_doctor_uses_is_named_and_no_failure() -> None:
    with gate(Google()) as made:
        made.faults = [Fault(lambda request: request.path.endswith("/regions/europe-west3"), forbidden(), times=9)]
        checks = examined(made)
    assert states(checks, "fail") == set()
    assert states(checks, "unknown") == {"quota"}
    assert "compute.regions.get" in by_name(checks)["quota"].fix


def test_rights_that_google_does_not_tell_are_not_fine() -> None:
    """The other service is not turned on in the project."""
    with gate(Google()) as made:
        made.faults = [Fault(lambda request: "testIamPermissions" in request.path, forbidden(), times=9)]
        checks = examined(made)
    assert states(checks, "unknown") == {"permissions"}
    assert "Cloud Resource Manager API" in by_name(checks)["permissions"].fix


def forbidden() -> Answer:
    return Answer(
        403,
        b'{"error": {"code": 403, "message": "Required permission", "errors": [{"reason": "forbidden", "domain": "x"}]}}',
    )


def test_the_account_asks_for_its_rights_with_a_login_that_only_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    logins = []

    class Login:
        access_token = "canary"

        def __init__(self, user: str, key: object, auth: str, file: str, scopes: list[str] | None, **_: object) -> None:
            logins.append((auth, file, scopes))

    monkeypatch.setattr("libcloud.common.google.GoogleOAuth2Credential", Login)
    with gate(Google()) as made:
        driver = gce_driver.GceDriver("a@b", {"client_email": "a@b"}, project="tunnels", zone="europe-west3-c")
        assert driver.ex_held(["compute.zones.list"], made.url) == {"compute.zones.list"}
    assert logins[1] == ("SA", "/dev/null", ["https://www.googleapis.com/auth/cloud-platform.read-only"])


@pytest.mark.parametrize(
    ("lacks", "unknown"),
    [("account:read", "quota"), ("sizes:read", "size"), ("regions:read", "region"), ("image:read", "image")],
)
def test_what_a_token_may_not_read_is_not_known(lacks: str, unknown: str) -> None:
    with gate(DigitalOcean()) as made:
        assert isinstance(made.provider, DigitalOcean)
        made.provider.lacks = {lacks}
        checks = examined(made)
    assert unknown in states(checks, "unknown")
    assert states(checks, "fail") == ({f"permission {lacks}"} if lacks != "account:read" else set())


def test_a_region_of_linode_without_the_metadata_service_would_never_read_its_user_data() -> None:
    with gate(Linode()) as made:
        checks = examined(made, {"region": "us-west"})
    (failed,) = [one for one in checks if one.state == "fail"]
    assert failed.name == "region"
    assert "Metadata" in failed.said


def test_an_application_credential_may_have_fewer_rights_than_its_roles() -> None:
    with gate(Openstack()) as made:
        checks = examined(made, {"project": ""})
    assert states(checks, "unknown") == {"permission member"}
    assert states(checks, "fail") == set()


class Sizes:
    """A subscription that is kept from a size of its region."""

    def ex_list(self, *_: str) -> list[dict[str, object]]:
        kept = [{"type": "Location", "reasonCode": "NotAvailableForSubscription"}]
        return [{"name": "Standard_B1s", "resourceType": "virtualMachines", "restrictions": kept}]


def test_a_size_that_is_there_for_others_only() -> None:
    (check,) = azure_health._size(Sizes(), Wanted("germanywestcentral", "Standard_B1s", "", ()), {})
    assert check.state == "fail"
    assert "NotAvailableForSubscription" in check.said


@pytest.mark.parametrize(
    ("right", "patterns", "among"),
    [
        ("Microsoft.Compute/disks/write", ["*"], True),
        ("Microsoft.Compute/disks/write", ["Microsoft.Compute/*/write"], True),
        ("Microsoft.Compute/disks/write", ["microsoft.compute/Disks/*"], True),
        ("Microsoft.Compute/disks/write", ["*/read", "Microsoft.Compute/disks"], False),
        ("Microsoft.Compute/disks/write", ["MicrosoftXCompute/disks/write"], False),
        ("Microsoft.Compute/disks/write", [], False),
    ],
)
def test_azures_patterns(right: str, patterns: list[str], among: bool) -> None:
    assert azure_health._among(right, patterns) is among
