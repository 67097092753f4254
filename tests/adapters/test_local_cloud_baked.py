"""Images that were made of nodes, as folders: whole or not there, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.baked import bake, baked, remove
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.adapters.local_cloud.layout import CloudLayout
from support_tunnel.adapters.local_cloud.nodes import NodeRequest, Nodes
from support_tunnel.core.errors import CloudError, HostError, SupportTunnelError, UsageError

TAGS = {"st-image": "one", "st-owner": "ann@laptop"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "etc").mkdir(parents=True)
    (root / "etc/hostname").write_text("one\n")
    (root / "etc/shadow").touch(mode=0o600)
    (root / "bin").symlink_to("usr/bin")
    return root


def test_it_is_the_tree_with_its_modes_and_links(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "baked"
    bake(folder, "one", tree, TAGS, cloud_init=True)
    ((image, root),) = baked(folder).values()
    assert (image.name, image.tags, image.cloud_init) == ("one", TAGS, True)
    assert (root / "etc/hostname").read_text() == "one\n"
    assert (root / "etc/shadow").stat().st_mode & 0o777 == 0o600
    assert (root / "bin").readlink() == Path("usr/bin")
    assert (folder / "one").stat().st_mode & 0o077 == 0, "it may hold what only its own root may read"
    driver = LocalNodeDriver(tmp_path / "cloud", ex_baked=folder)
    assert {listed.id for listed in driver.list_images()} == {"host", "debian-13", "one"}


def test_what_a_killed_maker_left_is_none_and_goes_with_the_next(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "baked"
    half = folder / "building-half"
    (half / "root").mkdir(parents=True)
    (half / "record").write_text("{}")
    assert baked(folder) == {}
    bake(folder, "one", tree, TAGS, cloud_init=True)
    assert [path.name for path in folder.iterdir()] == ["one"]


def test_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "baked"
    with pytest.raises(HostError):
        bake(folder, "one", tmp_path / "nothing", TAGS, cloud_init=True)
    assert [*folder.iterdir()] == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "building-x/../y", "-a", "a" * 64])
def test_a_name_that_could_be_a_path_is_refused(name: str, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        bake(tmp_path / "baked", name, tree, TAGS, cloud_init=True)
    remove(tmp_path / "baked", name)
    assert not (tmp_path / "baked").exists()


def test_a_name_that_is_taken_is_nobody_elses_image(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "baked"
    bake(folder, "one", tree, TAGS, cloud_init=True)
    with pytest.raises(CloudError) as refused:
        bake(folder, "one", tree, {}, cloud_init=False)
    assert refused.value.code == "cloud.taken"
    assert baked(folder)["one"][0].tags == TAGS


def test_removed_is_gone_and_again_is_fine(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "baked"
    bake(folder, "one", tree, TAGS, cloud_init=True)
    remove(folder, "one")
    remove(folder, "one")
    assert [*folder.iterdir()] == []


def test_an_image_of_a_node_that_is_not_there_is_refused(tmp_path: Path) -> None:
    nodes = Nodes(CloudLayout(tmp_path / "cloud"), SystemClock(), tmp_path / "baked")
    with pytest.raises(SupportTunnelError) as refused:
        nodes.bake(nodes.cloud.new_id(), "one", TAGS)
    assert refused.value.code == "cloud.unknown-node"


def test_an_unknown_image_is_refused_with_those_that_there_are(tree: Path, tmp_path: Path) -> None:
    bake(tmp_path / "baked", "one", tree, TAGS, cloud_init=True)
    nodes = Nodes(CloudLayout(tmp_path / "cloud"), SystemClock(), tmp_path / "baked")
    with pytest.raises(UsageError, match="it has debian-13, host, one"):
        nodes.create(NodeRequest("x", image="two"))
