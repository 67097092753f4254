"""What facts of a cloud mean, judged without one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from support_tunnel.core.cloud_health import (
    Room,
    judge_cloud_clock,
    judge_offered,
    judge_refusal,
    judge_right,
    judge_room,
    judge_user_data,
)
from support_tunnel.core.errors import CloudError, SupportTunnelError, UsageError


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    check = judge_offered("region", "eu-centrl-1", ["us-east-1", "eu-central-1", "eu-west-1"])
    assert check.state == "fail"
    assert "such as eu-central-1" in check.fix


def test_a_cloud_that_offers_nothing_at_all_is_no_well_one() -> None:
    assert judge_offered("size", "small", []).state == "fail"


@pytest.mark.parametrize(
    ("rooms", "state"),
    [
        ([], "unknown"),
        ([Room("a", 5, -1)], "unknown"),
        ([Room("a", 9, 10)], "ok"),
        ([Room("a", 10, 10)], "fail"),
        ([Room("a", 9, 10, needs=2)], "fail"),
        ([Room("a", 0, 10), Room("b", 7, 7)], "fail"),
        ([Room("a", 0, 0)], "fail"),
    ],
    ids=["none", "no limit", "fits", "full", "half fits", "one is full", "nothing allowed"],
)
def test_one_more_server_fits_into_every_limit_or_not(rooms: list[Room], state: str) -> None:
    check = judge_room(rooms)
    assert check.state == state
    assert state != "ok" or "a 9 of 10 used" in check.said


def test_the_limit_that_is_full_is_named() -> None:
    assert "b 7 of 7 used" in judge_room([Room("a", 0, 10), Room("b", 7, 7)]).said


@pytest.mark.parametrize(("held", "state"), [(True, "ok"), (False, "fail"), (None, "unknown")])
def test_a_right_that_was_not_seen_is_not_called_held(held: bool | None, state: str) -> None:
    assert judge_right("server:create", held, "it does not say").state == state


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, "ok"), (30, "ok"), (-31, "warn"), (299, "warn"), (301, "fail"), (-86_400, "fail")]
)
def test_a_clock(seconds: int, state: str) -> None:
    assert judge_cloud_clock(timedelta(seconds=seconds)).state == state


@pytest.mark.parametrize(("size", "limit", "state"), [(5, 0, "ok"), (5, 5, "ok"), (6, 5, "fail")])
def test_user_data(size: int, limit: int, state: str) -> None:
    assert judge_user_data(size, limit).state == state


@pytest.mark.parametrize(
    ("error", "name", "state"),
    [
        (CloudError("cloud.auth", "refused our credentials"), "credentials", "fail"),
        (CloudError("cloud.forbidden", "knows our credentials"), "credentials", "ok"),
        (UsageError("cloud.unknown-name", "no region"), "region", "fail"),
        (UsageError("config.value", "no key in JSON"), "settings", "fail"),
        (UsageError("secret.file", "no such file"), "credentials", "fail"),
        (CloudError("cloud.retry", "did not answer"), "answer", "fail"),
    ],
)
def test_a_first_refusal_is_of_what_it_is_about(error: SupportTunnelError, name: str, state: str) -> None:
    check = judge_refusal(error)
    assert (check.name, check.state) == (name, state)


def test_credentials_that_have_expired_are_to_be_made_anew() -> None:
    error = CloudError(
        "cloud.auth", "refused and says: ExpiredToken: The security token included in the request is expired"
    )
    assert "make new ones" in judge_refusal(error).fix
