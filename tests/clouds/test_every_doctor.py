"""`fab doctor CLOUD` on each cloud: one thing is broken at a time, and it alone is named, with what to do. Nothing is made or ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from support_tunnel.adapters.cloud_examination import examine_cloud
from support_tunnel.core.device_health import Check
from support_tunnel.testing.clock import ManualClock
from tests.clouds.amazon import Amazon
from tests.clouds.gate import Fault, Gate, Request, gate
from tests.clouds.played import PLAYED
from tests.clouds.test_every_cloud import reach

FAKES = {name: made for name, made in PLAYED.items() if name != "nova"}
SIZE = 3_000
"""Bytes of user-data: ours have about that many."""


@dataclass(frozen=True)
class Kind:
    """What there is to know of a cloud here."""

    lacks: str
    """A right to take away."""
    not_known: set[str]
    """What it tells nobody, when all is well."""
    region: str = "mars-1"
    image: str = "debian-99"


KINDS: Mapping[str, Kind] = {
    "azure": Kind("Microsoft.Network/publicIPAddresses/write", set(), image="Debian:debian-13:99-gen2:latest"),
    "digitalocean": Kind(
        "firewall:delete",
        {f"permission {kind}:{action}" for kind in ("droplet", "firewall", "tag") for action in ("create", "delete")},
    ),
    "ec2": Kind("ec2:CreateSecurityGroup", {"quota", "permission ec2:GetConsoleOutput"}, image="ami-0123456789abcdef0"),
    "gce": Kind("compute.firewalls.delete", set(), image="projects/debian-cloud/global/images/family/debian-99"),
    "hetzner": Kind("Read & Write", {"quota"}),
    "linode": Kind("firewall:read_write", {"quota"}),
    "openstack": Kind("member", set()),
    "vultr": Kind("firewall", {"quota"}),
}
TELLS_ITS_ROOM = {"azure", "digitalocean", "ec2", "gce", "openstack"}


@pytest.fixture(params=list(FAKES))
def cloud(request: pytest.FixtureRequest) -> Iterator[Gate]:
    """With a server and a firewall of somebody else's. At the end both are there, nothing else is, and nothing else was asked for."""
    with gate(FAKES[request.param]()) as made:
        provider = made.provider
        provider.foreign("st-6b6b6b6b")
        if provider.name != "azure":
            provider.foreign_wall("st-6b6b6b6b")
        before = (provider.everything(), provider.walls(), provider.rules())
        yield made
        assert (provider.everything(), provider.walls(), provider.rules()) == before
        assert [f"{one.method} {one.target}" for one in made.log if not harmless(one)] == []
    contract = getattr(provider, "contract", None)
    assert contract is None or contract.complaints == []


def harmless(request: Request) -> bool:
    """A look; a login; a question about rights; a dry run; the end of what cannot exist."""
    if "Action" in request.query:
        return request.query["Action"].startswith("Describe") or request.query.get("DryRun") == "true"
    return (
        request.method == "GET"
        or request.path in ("/v3/auth/tokens", "/v1/projects/tunnels:testIamPermissions")
        or (request.method == "DELETE" and (request.path.endswith(("/0", "-000000000000")) or "/tags/st-doctor:" in request.path))
    )  # fmt: skip


def examined(
    made: Gate, settings: Mapping[str, str] | None = None, *, ahead: timedelta = timedelta(0), user_data: int = SIZE
) -> list[Check]:
    """The clock that is compared goes on with the real one, which the answers have: a machine may be slow."""
    cloud = reach(made, ManualClock(), **(settings or {}))
    checks = list(examine_cloud(cloud, user_data=user_data, now=lambda: datetime.now(UTC) + ahead))
    assert [one.name for one in checks if bool(one.fix) is (one.state == "ok")] == [], "what is not well has a fix"
    shown = "".join(one.said + one.fix for one in checks)
    assert "canary" not in shown, "a secret"
    return checks


def states(checks: list[Check], state: str) -> set[str]:
    return {one.name for one in checks if one.state == state}


def test_all_is_well(cloud: Gate) -> None:
    kind, checks = KINDS[cloud.provider.name], examined(cloud)
    assert states(checks, "fail") == states(checks, "warn") == set()
    assert states(checks, "unknown") == kind.not_known, "what was not seen is never called fine"
    assert {"credentials", "clock", "region", "image", "size", "quota", "user-data"} <= {one.name for one in checks}
    assert any(one.name.startswith("permission ") for one in checks)
    names = [one.name for one in checks]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("what", ["region", "image", "size"])
def test_what_the_cloud_does_not_have_is_named(cloud: Gate, what: str) -> None:
    kind = KINDS[cloud.provider.name]
    wrong = {"region": kind.region, "image": kind.image, "size": "x9.tiny"}[what]
    checks = examined(cloud, {what: wrong})
    (wrong_one,) = [one for one in checks if one.state == "fail"]
    assert wrong_one.name == what
    assert wrong in wrong_one.said
    assert what in wrong_one.fix


def test_credentials_that_are_refused(cloud: Gate) -> None:
    cloud.faults = [Fault(lambda _: True, cloud.provider.refusal("auth"), times=1000)]
    checks = examined(cloud)
    assert states(checks, "fail") == {"credentials"}
    assert {one.name for one in checks} <= {"credentials", "clock", "user-data"}, "no one is asked who is not let in"


def test_one_right_that_is_missing_is_named(cloud: Gate) -> None:
    lacks = KINDS[cloud.provider.name].lacks
    if isinstance(cloud.provider, Amazon):
        cloud.faults = [unauthorized(lacks)]
    else:
        cloud.provider.lacks = {lacks}  # type: ignore[attr-defined]  # every other one is a Rest
    checks = examined(cloud)
    assert states(checks, "fail") == {f"permission {lacks}"}
    (fix,) = [one.fix for one in checks if one.state == "fail"]
    assert lacks in fix


def test_an_account_that_is_full(cloud: Gate) -> None:
    if cloud.provider.name not in TELLS_ITS_ROOM:
        assert "quota" in KINDS[cloud.provider.name].not_known
        return
    if isinstance(cloud.provider, Amazon):
        cloud.faults = [Fault(cloud.provider.creates, cloud.provider.refusal("quota"))]
    else:
        cloud.provider.full = True  # type: ignore[attr-defined]  # as above
    checks = examined(cloud)
    assert states(checks, "fail") == {"quota"}


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_a_day_off(cloud: Gate, days: int) -> None:
    checks = examined(cloud, ahead=timedelta(days=days))
    assert states(checks, "fail") == {"clock"}
    (said,) = [one.said for one in checks if one.state == "fail"]
    assert ("is +86" if days < 0 else "is -86") in said


def test_a_check_is_told_before_the_next_is_asked(cloud: Gate) -> None:
    checks = examine_cloud(reach(cloud, ManualClock()), user_data=SIZE, now=lambda: datetime.now(UTC))
    asked = []
    for _ in checks:
        asked.append(len(cloud.log))
    assert len(set(asked)) > 3, "it waits for several answers on its way"


def test_user_data_that_does_not_fit(cloud: Gate) -> None:
    assert states(examined(cloud, user_data=1_000_000), "fail") == {"user-data"}


def test_a_cloud_that_is_away_is_said_once(cloud: Gate) -> None:
    cloud.faults = [Fault(lambda _: True, None, times=1000)]
    assert states(examined(cloud), "fail") == {"answer"}


def unauthorized(right: str, named: str = "") -> Fault:
    refusal = Amazon.refused(
        "UnauthorizedOperation", f"User: arn:aws:iam::1:user/x is not authorized to perform: {named or right}"
    )
    action = right.removeprefix("ec2:")
    return Fault(lambda request: request.query.get("Action") == action, refusal, times=100)
