"""The JUnit file: whole XML whatever is in it, and the failure at the step that broke."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from support_tunnel.adapters.progress import Step
from support_tunnel.cli.admin.junit import junit, write_junit
from support_tunnel.core.errors import HostError, UsageError

STEPS = [Step("Booting a device", 1.25), Step('"odd" <name> & \x1b[2J', 0.5)]


def test_each_step_is_a_case() -> None:
    suite = ElementTree.fromstring(junit(STEPS, None))  # noqa: S314 - our own, just made
    assert [(case.get("name"), case.get("time")) for case in suite] == [
        ("01 Booting a device", "1.250"),
        ('02 "odd" <name> & ?[2J', "0.500"),
    ]
    assert {name: suite.get(name) for name in ("tests", "failures", "time")} == {
        "tests": "2",
        "failures": "0",
        "time": "1.750",
    }
    assert list(suite.iter("failure")) == []


@pytest.mark.parametrize("steps", [STEPS, STEPS[:1], []])
def test_a_failure_is_at_the_last_step(steps: list[Step]) -> None:
    suite = ElementTree.fromstring(junit(steps, HostError("ssh.kex", "a <b> & c", next_step="Do x.")))  # noqa: S314 - our own, just made
    assert suite.get("failures") == "1"
    (failure,) = suite.iter("failure")
    assert (failure.get("type"), failure.text) == ("ssh.kex", "a <b> & c. Do x.")
    assert failure in list(list(suite)[-1])


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        write_junit(str(tmp_path / "no folder" / "x.xml"), STEPS, None)
    assert refused.value.code == "junit.file"
