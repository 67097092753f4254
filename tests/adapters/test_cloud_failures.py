"""Clouds fail in their own ways: a lost answer, a second server by a retry, a list that is no list. Nothing may be lost or guessed.

The cloud here is a libcloud driver of the test's own, in memory; only what it answers, and when, is made up.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

import pytest
import requests
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.google import GoogleBaseError
from libcloud.common.types import InvalidCredsError, LibcloudError, MalformedResponseError
from libcloud.compute.base import Node, NodeDriver, NodeLocation
from libcloud.compute.types import NodeState

from support_tunnel.adapters.cloud_failure import as_cloud_error, classify
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.cloud_table import CloudRow
from support_tunnel.core.errors import CloudError, UsageError
from support_tunnel.core.ports import ServerSpec
from support_tunnel.testing.clock import ManualClock

SPEC = ServerSpec("one", "#cloud-config\n", datetime(2030, 1, 1, tzinfo=UTC), {"st-tunnel": "5a" * 16})
TIMEOUT = requests.ReadTimeout("read timed out")


class MemoryDriver(NodeDriver):  # type: ignore[misc]  # libcloud has no types
    """Servers in a list. `before_create`, `after_create`, `before_list` and `before_destroy` are where a cloud goes wrong."""

    type = "memory"

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ids = count()
        self.copies = 1
        self.deaf_to_destroy = 0
        self.locations = [NodeLocation("here", "here", "", self)]
        self.before_create: Callable[[], None] = lambda: None
        self.after_create: Callable[[], None] = lambda: None
        self.before_list: Callable[[], None] = lambda: None
        self.before_destroy: Callable[[], None] = lambda: None

    def list_locations(self) -> list[NodeLocation]:
        return self.locations

    def list_nodes(self) -> list[Node]:
        self.before_list()
        return list(self.nodes)

    def create_node(self, name: str, tags: dict[str, str]) -> Node:
        self.before_create()
        for _ in range(self.copies):
            self.nodes.append(
                Node(f"n{next(self.ids)}", name, NodeState.RUNNING, ["192.0.2.1"], [], self, extra={"tags": tags})
            )
        self.after_create()
        return self.nodes[-1]

    def destroy_node(self, node: Node) -> bool:
        self.before_destroy()
        if self.deaf_to_destroy:
            self.deaf_to_destroy -= 1
        else:
            self.nodes = [other for other in self.nodes if other.id != node.id]
        return True


def fails(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


def after(times: int, error: Exception, then: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """Fail so many times."""
    left = [times]

    def fail() -> None:
        if left[0]:
            left[0] -= 1
            raise error
        then()

    return fail


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cloud(driver: MemoryDriver, clock: ManualClock) -> LibcloudCloud:
    memory = CloudRow(
        name="memory",
        connect=lambda _: driver,
        arguments=lambda _, spec: {"tags": dict(spec.tags)},
        tags=lambda node: node.extra["tags"],
        address=lambda node: str(node.public_ips[0]),
        genuine=lambda asked: bool(asked.list_locations()),
    )
    return LibcloudCloud("memory", {}, clock, rows={"memory": memory})


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


def test_a_refusal_is_not_taken_for_a_lost_answer(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    driver.copies, driver.after_create = 0, fails(InvalidCredsError("no"))
    driver.before_list = fails(AssertionError("nothing to look for"))
    with pytest.raises(CloudError) as failed:
        cloud.create(SPEC)
    assert failed.value.code == "cloud.auth"


PASSING = [RateLimitReachedError(), BaseHTTPError(429, "slow down"), BaseHTTPError(500, "oops"), TIMEOUT]


@pytest.mark.parametrize("error", PASSING)
def test_a_create_that_made_nothing_is_tried_again_later_and_later(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock, error: Exception
) -> None:
    driver.before_create = after(4, error)
    assert cloud.create(SPEC).id == "n0"
    assert [node.id for node in driver.nodes] == ["n0"]
    assert 7.5 <= clock.monotonic() <= 22.5, "1, 2, 4 and 8 seconds, each half as much more or less"


def test_two_tools_do_not_come_back_at_the_same_moment(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    waited = set()
    for _ in range(8):
        cloud._clock = clock = ManualClock()
        driver.before_create = after(3, PASSING[0])
        cloud.create(SPEC)
        waited.add(clock.monotonic())
    assert len(waited) > 1


@pytest.mark.parametrize("error", PASSING)
def test_a_create_is_given_up_and_nothing_is_there(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock, error: Exception
) -> None:
    driver.before_create = fails(error)
    with pytest.raises(CloudError) as failed:
        cloud.create(SPEC)
    assert failed.value.code == as_cloud_error("memory", error).code
    assert failed.value.next_step
    assert driver.nodes == []
    assert clock.monotonic() <= 46.5


@pytest.mark.parametrize(
    "error", [InvalidCredsError("no"), BaseHTTPError(403, "InstanceLimitExceeded"), BaseHTTPError(400, "no such image")]
)
def test_what_does_not_pass_is_not_tried_again(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock, error: Exception
) -> None:
    driver.before_create = fails(error)
    with pytest.raises(CloudError):
        cloud.create(SPEC)
    assert clock.monotonic() == 0


def test_a_server_of_a_lost_answer_that_the_list_shows_late_is_ended(
    cloud: LibcloudCloud, driver: MemoryDriver
) -> None:
    """The first try made one, but neither its answer nor the list told; the second try's answer arrives."""
    hidden: list[Node] = []

    def lost() -> None:
        hidden.extend(driver.nodes)
        driver.nodes.clear()
        raise TIMEOUT

    def answered() -> None:
        driver.nodes.insert(0, hidden[0])

    tries = iter([lost, answered])

    def create() -> None:
        next(tries)()

    driver.after_create = create
    made = cloud.create(SPEC)
    assert [node.id for node in driver.nodes] == [made.id]


def test_while_nobody_can_say_what_there_is_there_is_no_second_try(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    made = [0]

    def lost() -> None:
        made[0] += 1
        raise TIMEOUT

    driver.after_create, driver.before_list = lost, fails(BaseHTTPError(500, "oops"))
    with pytest.raises(CloudError):
        cloud.create(SPEC)
    assert made == [1]


def test_a_destroy_that_fails_five_times_and_then_finds_nothing_is_done(
    cloud: LibcloudCloud, driver: MemoryDriver
) -> None:
    made = cloud.create(SPEC)

    def quicker() -> None:
        driver.nodes.clear()
        raise BaseHTTPError(404, "no such server")

    driver.before_destroy = after(5, BaseHTTPError(500, "oops"), quicker)
    cloud.destroy(made.id)
    assert driver.nodes == []


@pytest.mark.parametrize("error", [BaseHTTPError(500, "oops"), InvalidCredsError("no")])
def test_a_destroy_that_fails_for_good_names_the_server_and_what_to_do(
    cloud: LibcloudCloud, driver: MemoryDriver, error: Exception
) -> None:
    made = cloud.create(SPEC)
    driver.before_destroy = fails(error)
    with pytest.raises(CloudError, match=f"server {made.id} is still there") as failed:
        cloud.destroy(made.id)
    assert failed.value.exit_code == 5
    assert failed.value.next_step == f"Run `fab sweep`, or end server {made.id} in the cloud's own console."


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
    with pytest.raises(UsageError, match="there is local"):
        LibcloudCloud("mars", {}, ManualClock())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidCredsError("bad"), "auth"),
        (BaseHTTPError(403, "UnauthorizedOperation: no"), "auth"),
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


def test_a_drivers_own_words_stay_out_of_ours() -> None:
    """Some put the whole request into them, credentials and user-data included."""
    canary = "tok" + "en-123"
    told = as_cloud_error("ec2", BaseHTTPError(500, f"POST /?Action=RunInstances {canary}"))
    assert canary not in str(told)
    assert told.code == "cloud.retry"
