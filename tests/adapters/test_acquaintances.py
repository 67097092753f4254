"""Whom the device has met: counted, kept, and never taken from a file that others could have written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from support_tunnel.adapters.acquaintances_disk import DiskAcquaintances
from support_tunnel.core.errors import UsageError

WHEN = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)


def test_a_stranger_was_never_met(tmp_path: Path) -> None:
    assert DiskAcquaintances(tmp_path / "state").met("SHA256:a").times == 0
    assert not (tmp_path / "state").exists()


def test_meetings_are_counted_by_key_not_by_name(tmp_path: Path) -> None:
    known = DiskAcquaintances(tmp_path / "state")
    known.remember("SHA256:a", "Ada", WHEN)
    known.remember("SHA256:b", "Ada", WHEN)
    known.remember("SHA256:a", "Ada L.", WHEN.replace(day=24))
    met = DiskAcquaintances(tmp_path / "state").met("SHA256:a")
    assert (met.times, met.last) == (2, WHEN.replace(day=24))
    assert known.met("SHA256:b").times == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"SHA256:a": 1}',
        '{"SHA256:a": {"times": "2", "last": 1}}',
        '{"SHA256:a": {"times": true, "last": 1}}',
    ],
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    file = tmp_path / "admins.json"
    tmp_path.chmod(0o700)
    file.write_text(content)
    file.chmod(0o600)
    known = DiskAcquaintances(tmp_path)
    if content == "":
        assert known.met("SHA256:a").times == 0
        return
    with pytest.raises(UsageError, match="damaged") as refused:
        known.met("SHA256:a")
    assert str(file) in refused.value.next_step
    assert file.read_text() == content


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    known = DiskAcquaintances(tmp_path / "state")
    known.remember("SHA256:a", "Ada", WHEN)
    (tmp_path / "state" / "admins.json").chmod(0o666)
    with pytest.raises(UsageError) as refused:
        known.met("SHA256:a")
    assert refused.value.code == "file.mode"
