"""Files that decide who may come in are read only when nobody but root and this user can change them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support_tunnel.adapters.trusted_file import read_trusted
from support_tunnel.core.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.ini"
    path.write_text("[device]\n")
    path.chmod(0o644)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as refused:
        read_trusted(path)
    assert str(path) in refused.value.message
    return refused.value.code


def test_a_plain_file_is_read(file: Path) -> None:
    assert read_trusted(file) == "[device]\n"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_one_that_others_can_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert refusal(file) == "file.mode"


def test_a_link_is_refused(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert refusal(link) == "file.read"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_refused(file: Path, make: Callable[[Path], None]) -> None:
    file.unlink()
    make(file)
    file.chmod(0o644)
    assert refusal(file) == "file.kind"


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    assert refusal(file) == "file.content"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(file: Path) -> None:
    os.chown(file, 12345, -1)
    assert refusal(file) == "file.owner"
