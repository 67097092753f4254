"""The leak check must be able to fail: each kind of thing it looks for is made, without any record, and found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud import leaks
from support_tunnel.adapters.local_cloud.cgroups import hierarchies
from support_tunnel.adapters.local_cloud.layout import CloudLayout

pytestmark = pytest.mark.onebox


@contextmanager
def interface(name: str, _: Path) -> Iterator[None]:
    processes.run(["ip", "link", "add", name, "type", "bridge"])
    try:
        yield
    finally:
        processes.run(["ip", "link", "del", name])


@contextmanager
def namespace(name: str, _: Path) -> Iterator[None]:
    processes.run(["ip", "netns", "add", name])
    try:
        yield
    finally:
        processes.run(["ip", "netns", "del", name])


@contextmanager
def group(name: str, _: Path) -> Iterator[None]:
    folder = hierarchies()[0] / name
    folder.mkdir()
    try:
        yield
    finally:
        folder.rmdir()


@contextmanager
def mount(name: str, tmp_path: Path) -> Iterator[None]:
    processes.run(["mount", "-t", "tmpfs", name, tmp_path])
    try:
        yield
    finally:
        processes.run(["umount", tmp_path])


@contextmanager
def process(name: str, _: Path) -> Iterator[None]:
    with namespace(name, _):
        sleeper = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "600"])
        try:
            while Path(f"/proc/{sleeper.pid}/comm").read_text() != "sleep\n":
                pass
            yield
        finally:
            sleeper.kill()
            sleeper.wait()


MAKERS = {
    "network interface": interface,
    "network namespace": namespace,
    "control group": group,
    "mount": mount,
    "process": process,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_kind_of_leftover_is_found_and_gone_again(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "no-such-cloud"
    name = CloudLayout(root).new_id()
    make: Callable[[str, Path], object] = MAKERS[kind]
    assert leaks.find(root) == []
    with ExitStack() as stack:
        stack.enter_context(make(name, tmp_path))  # type: ignore[arg-type]  # every maker is a context manager
        found = leaks.find(root)
        assert [line for line in found if line.startswith(kind)], found
        assert set(found) <= set(leaks.find()), "looking at all clouds must show what looking at one does"
        assert leaks.find(tmp_path / "another-cloud") == []
    assert leaks.find(root) == []


def test_a_folder_is_a_leftover_too(tmp_path: Path) -> None:
    assert leaks.find(tmp_path) == [f"folder {tmp_path}"]


def test_as_a_program_it_is_silent_or_exits_with_one(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "support_tunnel.adapters.local_cloud.leaks", "--root"]
    env = {"PYTHONPATH": str(Path(__file__).parents[2])}
    clean = processes.run([*program, tmp_path / "none"], env=env)
    assert (clean.status, clean.stdout, clean.stderr) == (0, "", "")
    left = processes.run([*program, tmp_path], env=env, accept=None)
    assert (left.status, left.stdout) == (1, f"left behind: folder {tmp_path}\n")
