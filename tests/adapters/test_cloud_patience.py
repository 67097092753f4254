"""What passes by itself is waited for, and what does not is told at once; whatever a cloud answers, one server comes of a create.

05-threats 37 and 40. The cloud is the one of memory_cloud.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from libcloud.common.exceptions import BaseHTTPError, RateLimitReachedError
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.compute.base import Node

from support_tunnel.adapters.cloud_failure import as_cloud_error
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.core.errors import CloudError
from support_tunnel.testing.clock import ManualClock
from tests.adapters.memory_cloud import SPEC, TIMEOUT, MemoryDriver, after, clock, cloud, driver, fails

__all__ = ["clock", "cloud", "driver"]

PASSING = [RateLimitReachedError(), BaseHTTPError(429, "slow down"), BaseHTTPError(500, "oops"), TIMEOUT]


@pytest.mark.parametrize("error", PASSING)
def test_a_create_that_made_nothing_is_tried_again_later_and_later(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock, error: Exception
) -> None:
    driver.before_create = after(4, error)
    assert cloud.create(SPEC).id == "n0"
    assert [node.id for node in driver.nodes] == ["n0"]
    assert 7.5 <= clock.monotonic() <= 22.5, "1, 2, 4 and 8 seconds, each half as much more or less"


def test_two_tools_do_not_come_back_at_the_same_moment(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock
) -> None:
    waited = set()
    for _ in range(8):
        before = clock.monotonic()
        driver.before_create = after(3, PASSING[0])
        cloud.create(SPEC)
        waited.add(round(clock.monotonic() - before, 6))
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


def _listed_after(driver: MemoryDriver, looks: int, answer: Exception) -> Callable[[], None]:
    """A create that made its server and answers with `answer`, while so many looks at the list do not show it."""

    def lost() -> None:
        hidden, left = list(driver.nodes), [looks]
        driver.nodes.clear()

        def listed() -> None:
            if not left[0]:
                driver.nodes[:] = hidden
            left[0] -= 1

        driver.before_list = listed
        raise answer

    return lost


@pytest.mark.parametrize("error", [KeyError("id"), LibcloudError("a word that nobody knows"), BaseHTTPError(302, "")])
def test_a_server_of_an_answer_that_nobody_understands_is_looked_for_again(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock, error: Exception
) -> None:
    driver.after_create = _listed_after(driver, 4, error)
    assert cloud.create(SPEC).id == "n0"
    assert [node.id for node in driver.nodes] == ["n0"]
    assert next(driver.ids) == 1, "it was asked for once"
    assert 7.5 <= clock.monotonic() <= 22.5


def test_a_name_that_is_taken_by_the_try_before_is_its_servers(cloud: LibcloudCloud, driver: MemoryDriver) -> None:
    """The first answer was lost, and the cloud refuses a second server of that name before its list shows the first."""
    driver.after_create = _listed_after(driver, 5, TIMEOUT)
    tries = iter([lambda: None, fails(BaseHTTPError(409, "uniqueness_error: name is already used"))])
    driver.before_create = lambda: next(tries)()
    assert cloud.create(SPEC).id == "n0"
    assert [node.id for node in driver.nodes] == ["n0"]


def test_a_name_that_somebody_else_has_is_told_at_once(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock
) -> None:
    driver.before_create = fails(BaseHTTPError(409, "uniqueness_error: name is already used"))
    with pytest.raises(CloudError) as refused:
        cloud.create(SPEC)
    assert refused.value.code == "cloud.taken"
    assert clock.monotonic() == 0


def test_what_nobody_understands_is_given_up_and_never_sent_twice(
    cloud: LibcloudCloud, driver: MemoryDriver, clock: ManualClock
) -> None:
    driver.copies, driver.after_create = 0, fails(KeyError("id"))
    sent: list[int] = []
    driver.before_create = lambda: sent.append(1)
    with pytest.raises(CloudError) as failed:
        cloud.create(SPEC)
    assert failed.value.code == "cloud.unknown"
    assert len(sent) == 1
    assert clock.monotonic() <= 46.5


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
