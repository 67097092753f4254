"""Files are changed whole, belong to one user, and nothing foreign is trusted."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.private_files import PrivateFolder
from support_tunnel.core.errors import UsageError
from support_tunnel.core.waiting import wait_for


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def folder(tmp_path: Path) -> PrivateFolder:
    made = PrivateFolder(tmp_path / "a" / "b")
    made.make()
    return made


def inside(folder: PrivateFolder) -> list[str]:
    return [path.name for path in folder.path.iterdir()]


@pytest.mark.usefixtures("umask")
def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    """Threat 66."""
    folder = PrivateFolder(tmp_path / "a" / "b")
    folder.make()
    folder.write("name", b"data")
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/name")] == [
        0o700,
        0o700,
        0o600,
    ]


def test_what_was_written_is_read_and_nothing_else_is_left(folder: PrivateFolder) -> None:
    folder.write("name", b"first")
    folder.write("name", b"second")
    assert folder.read("name") == b"second"
    assert inside(folder) == ["name"]


def test_missing_is_none_and_removing_it_is_fine(folder: PrivateFolder, tmp_path: Path) -> None:
    assert folder.read("name") is None
    folder.remove("name")
    nowhere = PrivateFolder(tmp_path / "nowhere")
    assert (nowhere.read("name"), nowhere.names()) == (None, [])
    nowhere.remove("name")
    nowhere.erase()


def test_what_a_killed_writer_left_is_not_a_file_and_is_written_over(folder: PrivateFolder) -> None:
    (folder.path / ".name.new").write_bytes(b"half a")
    assert folder.names() == []
    folder.write("name", b"whole")
    assert inside(folder) == ["name"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(folder: PrivateFolder) -> None:
    folder.write("name", b"old")
    with pytest.raises(TypeError):
        folder.write("name", "not bytes")  # type: ignore[arg-type]  # the wrong type is the test
    assert folder.read("name") == b"old"
    assert inside(folder) == ["name"]


def test_a_link_in_place_of_a_file_is_refused_and_not_followed(folder: PrivateFolder, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"theirs")
    (folder.path / "name").symlink_to(target)
    with pytest.raises(UsageError) as caught:
        folder.read("name")
    assert caught.value.code == "file.kind"
    assert str(folder.path / "name") in caught.value.next_step
    folder.write("name", b"ours")
    assert (target.read_bytes(), folder.read("name")) == (b"theirs", b"ours")


def test_a_link_in_place_of_the_folder_is_refused(folder: PrivateFolder, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder.path)
    with pytest.raises(UsageError) as caught:
        PrivateFolder(tmp_path / "link").write("name", b"")
    assert caught.value.code == "file.kind"


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting_for_a_writer(folder: PrivateFolder) -> None:
    os.mkfifo(folder.path / "name", 0o600)
    with pytest.raises(UsageError) as caught:
        folder.read("name")
    assert caught.value.code == "file.kind"


@pytest.mark.parametrize(
    ("mode", "secret", "refused"), [(0o770, False, True), (0o755, False, False), (0o755, True, True)]
)
def test_a_folder_others_may_change_is_refused_with_the_repair(
    folder: PrivateFolder, mode: int, secret: bool, refused: bool
) -> None:
    folder.path.chmod(mode)
    checked = PrivateFolder(folder.path, secret=secret)
    if not refused:
        checked.write("name", b"")
        return
    for use in (checked.make, checked.names, lambda: checked.write("name", b""), checked.erase):
        with pytest.raises(UsageError) as caught:
            use()
        assert caught.value.code == "file.mode"
        assert f"chmod go-rwx {folder.path}" in caught.value.next_step


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(folder: PrivateFolder) -> None:
    folder.write("name", b"")
    os.chown(folder.path / "name", 65534, -1)
    with pytest.raises(UsageError) as caught:
        folder.read("name")
    assert caught.value.code == "file.owner"


def test_erasing_overwrites_the_bytes_before_they_are_unlinked(folder: PrivateFolder) -> None:
    folder.write("name", b"secret")
    (folder.path / ".other.new").write_bytes(b"half a secret")
    (folder.path / "link").symlink_to("/nowhere")
    with (folder.path / "name").open("rb") as still_open:
        folder.erase()
        assert still_open.read() == bytes(len(b"secret"))
    assert not folder.path.exists()


def test_a_lock_is_held_by_one_and_leaves_nothing(folder: PrivateFolder) -> None:
    with folder.lock(".lock"):
        with pytest.raises(BlockingIOError), folder.lock(".lock"):
            pytest.fail("two holders")
        assert inside(folder) == [".lock"]
    assert inside(folder) == []
    (folder.path / ".lock").touch()  # what a killed holder left
    with folder.lock(".lock"):
        pass
    assert inside(folder) == []


def test_a_lock_on_a_file_that_its_holder_just_removed_is_not_taken_for_one(
    folder: PrivateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our open and our lock the holder ends and unlinks: a second process would make and lock a new file."""
    real, calls = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            (folder.path / ".lock").unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with folder.lock(".lock"), pytest.raises(BlockingIOError), folder.lock(".lock"):
        pytest.fail("two holders")


def test_an_empty_folder_goes_but_never_from_under_a_turn(folder: PrivateFolder) -> None:
    folder.make()
    with folder.turn():
        folder.remove_when_empty()
        assert folder.path.is_dir()
    folder.write("kept", b"")
    folder.remove_when_empty()
    assert folder.path.is_dir()
    folder.remove("kept")
    folder.remove_when_empty()
    folder.remove_when_empty()
    assert not folder.path.exists()


def test_a_turn_with_a_folder_that_went_meanwhile_is_none(folder: PrivateFolder) -> None:
    """It would keep nobody out: whoever comes next makes a new folder."""

    def take() -> None:
        with folder.turn():
            pytest.fail("a turn with nothing")

    def waits() -> bool | None:
        waiting = rf"-> FLOCK .*:{folder.path.stat().st_ino} "
        return True if re.search(waiting, Path("/proc/locks").read_text()) else None

    folder.make()
    with ThreadPoolExecutor(1) as beside:
        with folder.turn():
            taking = beside.submit(take)
            wait_for(waits, what="the other one", seconds=30, clock=SystemClock())
            folder.path.rmdir()
        with pytest.raises(FileNotFoundError):
            taking.result(timeout=30)
