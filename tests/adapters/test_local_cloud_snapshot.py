"""Snapshots over a real overlay: what the node sees differs, or nothing is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud import overlay
from support_tunnel.adapters.local_cloud.layout import DEFAULT_ROOT, NodeLayout
from support_tunnel.adapters.local_cloud.snapshot import changes, snapshot
from support_tunnel.testing.scratch_cloud import scratch_cloud, start

pytestmark = pytest.mark.onebox


@pytest.fixture
def place() -> Iterator[NodeLayout]:
    """An overlay with a small lower layer, no node in it."""
    folder = DEFAULT_ROOT.with_name(f"{DEFAULT_ROOT.name}-layers-{os.getpid()}")
    lower = folder / "lower"
    (lower / "etc/app/deep").mkdir(parents=True)
    (lower / "etc/app/one").write_text("one")
    (lower / "etc/app/deep/two").write_text("two")
    (lower / "etc/link").symlink_to("app/one")
    (lower / "var").mkdir()
    made = NodeLayout("stl000000000000", folder)
    overlay.make_layers(made)
    overlay.mount(made, lower)
    try:
        yield made
    finally:
        overlay.unmount(made)
        shutil.rmtree(folder)


def rewritten(path: Path) -> None:
    text = path.read_text()
    path.write_text("something else")
    path.write_text(text)


def turned_into_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("x")


def relinked(path: Path) -> None:
    path.unlink()
    path.symlink_to("app")


def replaced(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


CASES: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("nothing", lambda _: None, []),
    ("new file", lambda top: (top / "etc/new").write_text("x"), ["added etc/new"]),
    ("new folder", lambda top: (top / "etc/new/in").mkdir(parents=True), ["added etc/new", "added etc/new/in"]),
    ("bytes", lambda top: (top / "etc/app/one").write_text("1"), ["changed etc/app/one (content)"]),
    ("same bytes again", lambda top: rewritten(top / "etc/app/one"), []),
    ("touched", lambda top: os.utime(top / "etc/app/one"), []),
    ("mode", lambda top: (top / "etc/app/one").chmod(0o600), ["changed etc/app/one (mode)"]),
    ("setuid", lambda top: (top / "etc/app/one").chmod(0o4644), ["changed etc/app/one (mode)"]),
    ("owner", lambda top: os.chown(top / "etc/app/one", 65534, -1), ["changed etc/app/one (owner)"]),
    ("folder's mode", lambda top: (top / "var").chmod(0o700), ["changed var (mode)"]),
    ("deleted", lambda top: (top / "etc/app/one").unlink(), ["removed etc/app/one"]),
    (
        "deleted folder",
        lambda top: shutil.rmtree(top / "etc/app"),
        ["removed etc/app", "removed etc/app/deep", "removed etc/app/deep/two", "removed etc/app/one"],
    ),
    (
        "emptied folder",
        lambda top: replaced(top / "etc/app"),
        ["removed etc/app/deep", "removed etc/app/deep/two", "removed etc/app/one"],
    ),
    (
        "file where a folder was",
        lambda top: turned_into_a_file(top / "etc/app"),
        [
            "changed etc/app (kind, mode, content)",
            "removed etc/app/deep",
            "removed etc/app/deep/two",
            "removed etc/app/one",
        ],
    ),
    (
        "link's target",
        lambda top: relinked(top / "etc/link"),
        ["changed etc/link (content)"],
    ),
    (
        "attribute",
        lambda top: os.setxattr(top / "etc/app/one", "trusted.mark", b"1"),
        ["changed etc/app/one (attributes)"],
    ),
    ("pipe", lambda top: os.mkfifo(top / "var/pipe"), ["added var/pipe"]),
]


@pytest.mark.parametrize(("do", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_the_node_sees_differently_is_said(
    place: NodeLayout, do: Callable[[Path], object], expected: list[str]
) -> None:
    lower = place.folder / "lower"
    before = snapshot(place.upper, lower)
    do(place.merged)
    assert changes(before, snapshot(place.upper, lower), ignoring=()) == expected


@pytest.mark.parametrize(("do", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_was_so_before_is_no_change(place: NodeLayout, do: Callable[[Path], object], expected: list[str]) -> None:
    do(place.merged)
    lower = place.folder / "lower"
    assert changes(snapshot(place.upper, lower), snapshot(place.upper, lower), ignoring=()) == []


def test_what_was_made_and_undone_is_no_change(place: NodeLayout) -> None:
    lower = place.folder / "lower"
    (place.merged / "etc/before").write_text("ours")
    before = snapshot(place.upper, lower)
    (place.merged / "etc/new").write_text("x")
    (place.merged / "etc/new").unlink()
    kept = (place.merged / "etc/app/one").read_text()
    (place.merged / "etc/app/one").unlink()
    (place.merged / "etc/app/one").write_text(kept)
    (place.merged / "etc/before").unlink()
    (place.merged / "etc/before").write_text("ours")
    assert changes(before, snapshot(place.upper, lower), ignoring=()) == []


def test_only_what_is_named_stays_out(place: NodeLayout) -> None:
    lower = place.folder / "lower"
    before = snapshot(place.upper, lower)
    for name in ("var/log", "var/logger"):
        (place.merged / name).mkdir()
        (place.merged / name / "x").write_text("x")
    after = snapshot(place.upper, lower)
    assert changes(before, after, ignoring=("var/log",)) == ["added var/logger", "added var/logger/x"]


def test_a_booted_node_is_read_whole() -> None:
    with scratch_cloud() as driver:
        node = start(driver, "device")
        place = driver.nodes.cloud.node(node.id)
        before = driver.ex_snapshot(node)
        assert {"etc/hostname", "etc/ssh/sshd_config"} <= before.written.keys()
        processes.run(["chroot", place.merged, "useradd", "--create-home", "guest"])
        told = changes(before, driver.ex_snapshot(node), ignoring=("var/log",))
        assert "added home/guest" in told
        assert "changed etc/passwd (content)" in told
