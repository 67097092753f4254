"""What sftp is told, read by the real sftp and its server on this machine: a name is one word and no pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_tunnel.adapters import processes, sftp_batch
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Completed

SERVER = "/usr/lib/openssh/sftp-server"
NAMES = [
    "plain",
    "two words",
    "*",
    "[a]?",
    "-r",
    '"quoted"',
    "it's",
    "back\\slash",
    "end\\",
    "#no comment",
    "é",
    "!ls",
    "a;b",
]


def sftp(batch: str, folder: Path) -> Completed:
    return processes.run(
        ["env", "-C", str(folder), "sftp", "-q", "-b", "-", "-D", SERVER], stdin=batch.encode(), accept=None
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_that_name(tmp_path: Path, name: str) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    (here / name).write_text(name)
    (there / "other").write_text("not this one")
    assert sftp(sftp_batch.listing(name), there).status != 0
    assert sftp(sftp_batch.putting(str(here / name), name + ".part", name, replace=False), there).status == 0
    assert sorted(path.name for path in there.iterdir()) == sorted([name, "other"])
    assert sftp(sftp_batch.listing(name), there).status == 0
    assert sftp(sftp_batch.fetching(name, str(tmp_path / "back")), there).status == 0
    assert (tmp_path / "back").read_text() == name
    sftp(sftp_batch.removing(name), there)
    assert [path.name for path in there.iterdir()] == ["other"]


def test_a_put_replaces_only_when_told(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    assert sftp(sftp_batch.putting("new", "part", "old", replace=False), tmp_path).status != 0
    assert (tmp_path / "old").read_text() == "old"
    assert sftp(sftp_batch.putting("new", "part", "old", replace=True), tmp_path).status == 0
    assert (tmp_path / "old").read_text() == "new"


@pytest.mark.parametrize("name", ["", "a\nrm b", "a\rb", "a\0b", "\x1b[2J", "\N{RIGHT-TO-LEFT OVERRIDE}x", "x" * 1001])
def test_a_name_that_could_be_more_is_refused(name: str) -> None:
    for make in (sftp_batch.listing, sftp_batch.removing):
        with pytest.raises(UsageError) as refused:
            make(name)
        assert refused.value.code == "file.name"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("subsystem request failed on channel 0", "files.closed"),
        ('File "/x" not found.', "file.missing"),
        ('remote open "/etc/shadow": Permission denied', "file.denied"),
        ("Cannot download non-regular file: /dev/zero", "file.kind"),
        ("something new \x1b[2J", "file.copy"),
    ],
)
def test_a_failure_has_a_code_and_none_of_its_words(said: str, code: str) -> None:
    error = sftp_batch.failure_of_copy(said)
    assert error.code == code
    assert "\x1b" not in error.message + error.next_step
