"""Many clouds are swept at the same time, from tags alone; one that fails keeps no other from being swept."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from support_tunnel.adapters.at_once import at_once
from support_tunnel.core.errors import CloudError, SupportTunnelError
from support_tunnel.core.ports import Cloud, Server, ServerSpec
from support_tunnel.flows.admin.sweep_clouds import due, end_due
from support_tunnel.flows.at_once import one_after_another
from support_tunnel.testing.fake_cloud import FakeCloud

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
FIVE = tuple("abcde")


def server(cloud: FakeCloud, name: str, expires: str, tag: str = "st-tunnel") -> Server:
    return cloud.create(ServerSpec(name, "", NOW, {tag: "0" * 32, "st-expires": expires}))


def over() -> str:
    return str(int((NOW - timedelta(seconds=1)).timestamp()))


class Met(FakeCloud):
    """A cloud that lists, and ends, only when all the others are asked too."""

    def __init__(self, folder: Path, all_of_them: threading.Barrier) -> None:
        super().__init__(folder)
        self._all = all_of_them

    def servers(self) -> Sequence[Server]:
        self._all.wait(timeout=60)
        return super().servers()

    def destroy_all(self, server_ids: Sequence[str]) -> Mapping[str, SupportTunnelError]:
        self._all.wait(timeout=60)
        return super().destroy_all(server_ids)


class Broken(FakeCloud):
    def servers(self) -> Sequence[Server]:
        raise CloudError("cloud.auth", "")

    def destroy(self, server_id: str) -> None:
        raise AssertionError("a cloud that cannot be listed is left alone")


class Silent(FakeCloud):
    """Says nothing of any."""

    def destroy_all(self, server_ids: Sequence[str]) -> Mapping[str, SupportTunnelError]:
        raise CloudError("cloud.rate", "later")


class Stubborn(FakeCloud):
    def destroy(self, server_id: str) -> None:
        raise CloudError("cloud.still-there", "it will not go")


def test_all_clouds_are_asked_at_the_same_time(tmp_path: Path) -> None:
    together = threading.Barrier(len(FIVE))
    clouds: dict[str, Cloud] = {}
    for name in FIVE:
        clouds[name] = cloud = Met(tmp_path / name, together)
        for number in range(3):
            server(cloud, f"{name}{number}", over())
    found = due(clouds, NOW, partial(at_once, forks=len(FIVE)))
    assert [one.cloud for one in found] == [name for name in FIVE for _ in range(3)]
    ended = list(end_due(clouds, found, partial(at_once, forks=len(FIVE))))
    assert {one.label for one in ended} == {f"server {name}{number} ({name})" for name in FIVE for number in range(3)}
    assert not [one for one in ended if one.trouble is not None]
    assert not [one for name in FIVE for one in FakeCloud(tmp_path / name).everything()]


def test_only_ours_and_only_past_its_own_expiry(tmp_path: Path) -> None:
    cloud = FakeCloud(tmp_path)
    kept = [
        server(cloud, "later", str(int(NOW.timestamp()) + 1)),
        server(cloud, "foreign", over(), tag="other"),
        *(server(cloud, "odd", words) for words in ("", "yesterday", "-1", "1e3", "٣", " 1")),
    ]
    gone = server(cloud, "over", over())
    found = due({"a": cloud}, NOW, one_after_another)
    assert [one.server for one in found] == [gone]
    list(end_due({"a": cloud}, found, one_after_another))
    assert {one.id for one in cloud.everything()} == {one.id for one in kept}


class Clocked(FakeCloud):
    """A cloud whose own clock is elsewhere."""

    def __init__(self, folder: Path, theirs: datetime) -> None:
        super().__init__(folder)
        self._theirs = theirs

    def now(self) -> datetime | None:
        return self._theirs


@pytest.mark.parametrize("ahead", [timedelta(days=1), timedelta(days=-1)], ids=["ours behind", "ours ahead"])
def test_what_only_one_of_two_clocks_calls_over_is_kept_and_the_clock_is_named(
    tmp_path: Path, ahead: timedelta
) -> None:
    cloud = Clocked(tmp_path, NOW + ahead)
    server(cloud, "over by one", str(int((NOW + ahead / 2).timestamp())))
    both = server(cloud, "over by both", str(int((NOW - 2 * abs(ahead)).timestamp())))
    found = due({"a": cloud}, NOW, one_after_another)
    assert [one.server for one in found] == [both, None]
    assert "clock" in (found[1].trouble or "")


def test_clocks_that_differ_by_a_minute_are_both_right(tmp_path: Path) -> None:
    cloud = Clocked(tmp_path, NOW + timedelta(minutes=1))
    gone = server(cloud, "over", over())
    assert [one.server for one in due({"a": cloud}, NOW, one_after_another)] == [gone]


def test_trouble_with_one_cloud_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    clouds: dict[str, Cloud] = {
        "broken": Broken(tmp_path / "broken"),
        "stubborn": Stubborn(tmp_path / "stubborn"),
        "silent": Silent(tmp_path / "silent"),
        "well": FakeCloud(tmp_path / "well"),
    }
    for name in clouds:
        server(FakeCloud(tmp_path / name), name, over())
    ended = list(end_due(clouds, due(clouds, NOW, one_after_another), one_after_another))
    assert {one.label: one.trouble for one in ended} == {
        "cloud broken": "",
        "server stubborn (stubborn)": "it will not go",
        "server silent (silent)": "later",
        "server well (well)": None,
    }
    assert [len(FakeCloud(tmp_path / name).everything()) for name in clouds] == [1, 1, 1, 0]


class OneOfThemStays(FakeCloud):
    def destroy(self, server_id: str) -> None:
        if any(one.id == server_id and one.name == "undead" for one in self.everything()):
            raise CloudError("cloud.still-there", "it is still listed")
        super().destroy(server_id)


def test_one_that_stays_is_named_and_the_others_are_proved_gone(tmp_path: Path) -> None:
    cloud = OneOfThemStays(tmp_path)
    for number in range(9):
        server(cloud, f"n{number}", over())
    server(cloud, "undead", over())
    ended = list(end_due({"a": cloud}, due({"a": cloud}, NOW, one_after_another), one_after_another))
    assert {one.label: one.trouble for one in ended if one.trouble} == {"server undead (a)": "it is still listed"}
    assert len(ended) == 10
    assert [one.name for one in cloud.everything()] == ["undead"]
