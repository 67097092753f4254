"""Examine a cloud before a server is launched there: the questions of its row, one after the other, none of which makes anything.

What a question fails with is judged like an answer. One that these credentials may not ask leaves its matter unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.clouds.row import Look, Wanted
from support_tunnel.core.cloud_health import judge_cloud_clock, judge_refusal, judge_user_data, not_known
from support_tunnel.core.device_health import Check, failure
from support_tunnel.core.errors import SupportTunnelError

__all__ = ["examine_cloud"]


def examine_cloud(cloud: LibcloudCloud, *, user_data: int, now: Callable[[], datetime]) -> Iterator[Check]:
    """Yield each check as soon as it is made. `user_data` is the length of what a server here would be given, in bytes."""
    refused = None
    try:
        cloud.accepted()
        first = Check("credentials", "ok", "the cloud accepts them")
        if not any(setting.secret for setting in cloud.row.settings):
            first = Check("answer", "ok", "it answers")
    except SupportTunnelError as error:
        first, refused = judge_refusal(error), error
    yield first
    if first.state == "ok":
        yield from _looks(cloud)
    if refused is None or refused.code.startswith("cloud."):
        yield from _clock(cloud, now)
    yield judge_user_data(user_data, cloud.row.user_data_limit)


def _looks(cloud: LibcloudCloud) -> Iterator[Check]:
    if not cloud.row.looks:
        return
    try:
        wanted = cloud.wanted()
    except SupportTunnelError as error:
        yield failure("settings", error)
        return
    nowhere = False
    for look in cloud.row.looks:
        for check in () if look.of_region and nowhere else _asked(cloud, look, wanted):
            nowhere = nowhere or (check.name == "region" and check.state == "fail")
            yield check


def _asked(cloud: LibcloudCloud, look: Look, wanted: Wanted) -> list[Check]:
    try:
        return cloud.look(lambda driver, told: list(look.ask(driver, wanted, told)))
    except SupportTunnelError as error:
        if error.code != "cloud.forbidden":
            return [failure(look.name, error)]
        fix = (
            f"To see it, give them {look.right} too."
            if look.right
            else "Give them what they lack, then run this again."
        )
        return [not_known(look.name, "these credentials may not look", fix)]


def _clock(cloud: LibcloudCloud, now: Callable[[], datetime]) -> Iterator[Check]:
    """A refusal has a date too: a clock that is off is a reason for one. A cloud that could not be reached has none."""
    try:
        theirs = cloud.now()
    except SupportTunnelError:
        return
    if theirs is not None:
        yield judge_cloud_clock(theirs - now())
