"""What every cloud must do, on the fake and on real hosts: flows are tested against the one and run on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.core.errors import CloudError
from support_tunnel.core.ports import Cloud, ServerSpec
from support_tunnel.testing.fake_cloud import FakeCloud
from support_tunnel.testing.scratch_cloud import scratch_cloud

SHARED_TUNNEL = "5a" * 16


def spec(name: str = "one", **tags: str) -> ServerSpec:
    return ServerSpec(
        name=name,
        user_data="#cloud-config\n{}\n",
        expires=SystemClock().now() + timedelta(hours=1),
        tags=tags or {"st-tunnel": SHARED_TUNNEL, "st-owner": "somebody", "st-expires": "2000000000"},
    )


@dataclass(frozen=True)
class Site:
    """A cloud to be tested, and what its owner would see in its console."""

    cloud: Cloud
    another: Callable[[], Cloud]
    """The same cloud, as another process would reach it."""
    everything: Callable[[], list[str]]
    """Ids of all servers, ours or not."""


@contextmanager
def fake(folder: Path) -> Iterator[Site]:
    cloud = FakeCloud(folder)
    yield Site(cloud, lambda: FakeCloud(folder), lambda: [server.id for server in cloud.everything()])


@contextmanager
def local(_: Path) -> Iterator[Site]:
    with scratch_cloud() as driver:

        def reach() -> LibcloudCloud:
            return LibcloudCloud("local", {"root": driver.key}, SystemClock())

        yield Site(reach(), reach, lambda: [node.id for node in driver.list_nodes()])


SITES: list[object] = [pytest.param(fake, id="fake"), pytest.param(local, id="local", marks=pytest.mark.onebox)]


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    make: Callable[[Path], AbstractContextManager[Site]] = request.param
    with make(tmp_path / "cloud") as made:
        yield made


def test_a_new_cloud_has_no_servers(site: Site) -> None:
    assert list(site.cloud.servers()) == []


def test_a_server_is_listed_as_it_was_asked_for(site: Site) -> None:
    wanted = spec("tunnel-a")
    made = site.cloud.create(wanted)
    (seen,) = site.another().servers()
    assert seen.id == made.id
    assert seen.name == "tunnel-a"
    assert wanted.tags.items() <= seen.tags.items()
    assert site.another().server(made.id) == seen
    assert site.another().server(f"{made.id}0") is None
    assert seen.address != ""


def test_destroyed_is_gone_and_again_is_fine(site: Site) -> None:
    kept, ended = site.cloud.create(spec("kept")), site.cloud.create(spec("ended"))
    site.cloud.destroy(ended.id)
    site.cloud.destroy(ended.id)
    assert [server.id for server in site.another().servers()] == [kept.id]
    assert site.everything() == [kept.id]


def test_another_process_may_end_it(site: Site) -> None:
    made = site.cloud.create(spec())
    site.another().destroy(made.id)
    assert list(site.cloud.servers()) == []
    assert site.everything() == []


def test_what_does_not_carry_our_tag_is_neither_shown_nor_destroyed(site: Site) -> None:
    foreign = site.cloud.create(spec("database", team="web"))
    assert list(site.cloud.servers()) == []
    with pytest.raises(CloudError) as refused:
        site.cloud.destroy(foreign.id)
    assert refused.value.code == "cloud.foreign"
    assert site.everything() == [foreign.id]


def test_an_id_that_no_server_can_have_ends_nothing(site: Site) -> None:
    made = site.cloud.create(spec())
    for odd in ("", "..", "../..", made.id + "0", made.id[:-1]):
        site.cloud.destroy(odd)
    assert site.everything() == [made.id]


def test_many_at_once_are_all_different_and_all_end(site: Site) -> None:
    with ThreadPoolExecutor(5) as pool:
        made = list(pool.map(lambda number: site.cloud.create(spec(f"node-{number}")), range(5)))
        assert {server.id for server in site.cloud.servers()} == {server.id for server in made}
        assert len({server.id for server in made}) == 5
        list(pool.map(site.cloud.destroy, (server.id for server in made)))
    assert site.everything() == []
