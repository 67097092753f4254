"""Clouds fail in their own ways: a lost answer, a second server by a retry, a list that is no list. Nothing may be lost or guessed.

The cloud is the one of memory_cloud.py. What is waited for is in test_cloud_patience.
"""

from __future__ import annotations

import pytest
import requests
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.google import GoogleBaseError
from libcloud.common.types import InvalidCredsError, LibcloudError, MalformedResponseError
from libcloud.compute.types import NodeState

from support_tunnel.adapters.cloud_failure import as_cloud_error, classify
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.core.errors import CloudError, UsageError
from support_tunnel.testing.clock import ManualClock
from tests.adapters.memory_cloud import SPEC, TIMEOUT, MemoryDriver, clock, cloud, driver, fails

__all__ = ["clock", "cloud", "driver"]


@pytest.mark.parametrize(
    "lost", [TIMEOUT, requests.ConnectionError("reset"), BaseHTTPError(502, "bad gateway"), KeyError("x")]
)
def test_a_server_whose_answer_was_lost_is_adopted(cloud: LibcloudCloud, driver: MemoryDriver, lost: Exception) -> None:
    driver.after_create = fails(lost)
    assert cloud.create(SPEC).id == "n0"
    assert [node.id for node in driver.nodes] == ["n0"]


def test_a_second_server_made_by_a_retry_is_ended(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    driver.copies, driver.after_create = 2, fails(TIMEOUT)
    assert cloud.create(SPEC).id == "n0"
    assert [node.id for node in driver.nodes] == ["n0"]


def test_the_server_of_an_earlier_attempt_is_not_adopted(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    cloud.create(SPEC)
    driver.copies, driver.after_create = 0, fails(TIMEOUT)
    with pytest.raises(CloudError) as failed:
        cloud.create(SPEC)
    assert failed.value.code == "cloud.retry"
    assert [node.id for node in driver.nodes] == ["n0"], "its tag lets `stop` find it; create has no right to it"


def test_a_region_or_image_that_is_not_there_is_told_in_the_clouds_words_with_what_to_do(
    cloud: LibcloudCloud, driver: MemoryDriver
) -> None:
    """Some clouds answer that with the status of a server that is gone."""
    driver.copies, driver.after_create = (
        0,
        fails(GoogleBaseError("The resource 'zones/mars-1' was not found", 404, "x")),
    )
    with pytest.raises(CloudError) as failed:
        cloud.create(SPEC)
    assert "zones/mars-1" in failed.value.message
    assert "fab doctor" in failed.value.next_step


def test_a_refusal_is_not_taken_for_a_lost_answer(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    driver.copies, driver.after_create = 0, fails(InvalidCredsError("no"))
    driver.before_list = fails(AssertionError("nothing to look for"))
    with pytest.raises(CloudError) as failed:
        cloud.create(SPEC)
    assert failed.value.code == "cloud.auth"


def test_destroyed_is_what_the_list_says_not_what_the_driver_returns(
    cloud: LibcloudCloud, driver: MemoryDriver
) -> None:
    made = cloud.create(SPEC)
    driver.deaf_to_destroy = 1
    with pytest.raises(CloudError) as failed:
        cloud.destroy(made.id)
    assert failed.value.code == "cloud.still-there"
    cloud.destroy(made.id)
    assert driver.nodes == []


def test_an_ended_server_that_is_still_listed_counts_as_gone(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    made = cloud.create(SPEC)
    driver.nodes[0].state = NodeState.TERMINATED
    assert list(cloud.servers()) == []
    cloud.destroy(made.id)


def test_somebody_quicker_is_no_failure(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    made = cloud.create(SPEC)

    def quicker() -> None:
        driver.nodes.clear()
        raise BaseHTTPError(404, "no such server")

    driver.before_destroy = quicker
    cloud.destroy(made.id)


@pytest.mark.parametrize("error", [TIMEOUT, BaseHTTPError(500, "oops"), InvalidCredsError("no"), LibcloudError("?")])
def test_an_error_never_means_gone(cloud: LibcloudCloud, driver: MemoryDriver, error: Exception) -> None:
    made = cloud.create(SPEC)
    driver.before_list = fails(error)
    with pytest.raises(CloudError):
        cloud.destroy(made.id)
    with pytest.raises(CloudError):
        cloud.servers()
    driver.before_list, driver.before_destroy = lambda: None, fails(error)
    with pytest.raises(CloudError):
        cloud.destroy(made.id)
    assert [node.id for node in driver.nodes] == [made.id]


def test_an_empty_answer_of_something_that_is_no_cloud_is_refused(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    driver.locations = []
    for question in (cloud.servers, lambda: cloud.destroy("n0")):
        with pytest.raises(CloudError) as refused:
            question()
        assert refused.value.code == "cloud.odd-answer"


def test_an_unknown_cloud_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"there is .*local"):
        LibcloudCloud("mars", {}, ManualClock())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidCredsError("bad"), "auth"),
        (InvalidCredsError("Your OAuth token is not authorized to use this endpoint."), "forbidden"),
        (BaseHTTPError(403, "UnauthorizedOperation: no"), "forbidden"),
        (BaseHTTPError(403, "no"), "forbidden"),
        (BaseHTTPError(401, "no"), "auth"),
        (BaseHTTPError(400, "InvalidInstanceID.NotFound: The instance ID does not exist"), "gone"),
        (BaseHTTPError(404, "no such server"), "gone"),
        (RateLimitReachedError(), "rate"),
        (BaseHTTPError(503, "RequestLimitExceeded: slow down"), "rate"),
        (GoogleBaseError("slow", 429, "x"), "rate"),
        (BaseHTTPError(503, ""), "retry"),
        (MalformedResponseError("html"), "retry"),
        (TIMEOUT, "retry"),
        (BaseHTTPError(400, "InstanceLimitExceeded: You have requested more instances"), "quota"),
        (BaseHTTPError(422, "creating this/these droplet(s) will exceed your droplet limit"), "quota"),
        (GoogleBaseError("Quota 'CPUS' exceeded.  Limit: 8.0 in region x.", 403, "QUOTA_EXCEEDED"), "quota"),
        (BaseHTTPError(403, "server limit exceeded: resource_limit_exceeded"), "quota"),
        (BaseHTTPError(400, "the image does not exist"), "bad-request"),
        (LibcloudError("something"), "unknown"),
        (TypeError("argument"), "unknown"),
        (KeyError("tag"), "unknown"),
    ],
)
def test_what_drivers_raise_is_classified(error: Exception, kind: str) -> None:
    assert classify(error) == kind


@pytest.mark.parametrize("status", [400, 403])
def test_who_is_refused_hears_of_the_doctor_of_that_cloud(status: int) -> None:
    assert "`fab doctor --cloud ec2`" in as_cloud_error("ec2", BaseHTTPError(status, "no")).next_step


def test_a_drivers_own_words_stay_out_of_ours() -> None:
    """Some put the whole request into them, credentials and user-data included."""
    canary = "tok" + "en-123"
    told = as_cloud_error("ec2", BaseHTTPError(500, f"POST /?Action=RunInstances {canary}"))
    assert canary not in str(told)
    assert told.code == "cloud.retry"


@pytest.mark.parametrize(
    "said",
    [
        "GET /?Action=RunInstances&X=y",
        "Authorization: Basic eA==",
        "Bearer abc",
        "user_data: x",
        "#cloud-config",
        "key tok-123 is bad",
    ],
)
def test_a_refusal_that_holds_a_secret_or_looks_like_a_request_is_not_shown(said: str) -> None:
    told = as_cloud_error("ec2", BaseHTTPError(400, f"no: {said}"), hidden=["", "tok-123"])
    assert told.code == "cloud.bad-request"
    assert said not in told.message
    assert "says" not in told.message
    shown = as_cloud_error("ec2", BaseHTTPError(400, "no: another size"), hidden=["", "tok-123"])
    assert "no: another size" in shown.message
