"""`fab rehearse --json`, as ./demo runs it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support_tunnel.adapters import processes
from support_tunnel.cli import paths
from tests.pipelines import checkout, jobs, run_job

pytestmark = pytest.mark.onebox

CODE = re.compile(r"st1[02-9ac-hj-np-z]{8}", re.IGNORECASE)
KEY = re.compile(r"PRIVATE KEY|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43}=")


def test_a_rehearsal_ends_with_one_line_of_json_and_nothing_left(tmp_path: Path) -> None:
    """By the pipeline of docs/ci.md, as a runner would."""
    where = checkout(tmp_path / "checkout")
    ran = run_job(jobs()["GitLab"]["rehearse"], where, timeout=800, env={"HOME": str(tmp_path)})
    assert [each.status for each in ran] == [0, 0, 0], ran[-1].stderr
    settings, ended, swept = ran
    assert json.loads(settings.stdout)["cloud"]["value"] == "local"
    assert (swept.status, json.loads(swept.stdout)["failed"]) == (0, []), swept.stderr
    report = where / "rehearsal.xml"
    (line,) = ended.stdout.splitlines()
    result = json.loads(line)
    assert (result["device_changes"], result["leftovers"]) == ([], [])
    assert 0 < result["answer_to_connected_seconds"] < result["total_seconds"]
    assert all(step["name"] and step["seconds"] >= 0 for step in result["steps"])
    assert len(result["steps"]) >= 10
    assert sum(step["seconds"] for step in result["steps"]) <= result["total_seconds"] + 0.1
    suite = ElementTree.parse(report).getroot()  # noqa: S314 - our own, just made
    assert [case.get("name", "")[3:] for case in suite] == [step["name"] for step in result["steps"]]
    assert (suite.get("failures"), suite.get("tests")) == ("0", str(len(result["steps"])))
    for secret in (CODE, KEY):
        assert not secret.search(ended.stdout + ended.stderr + report.read_text())


@pytest.mark.parametrize("text", ["st1qqqqqqqq", "ST1QPZRY9X8", "-----BEGIN OPENSSH PRIVATE KEY-----", "A" * 43 + "="])
def test_a_secret_would_be_found(text: str) -> None:
    assert any(secret.search(f"x {text} y") for secret in (CODE, KEY))


def test_it_does_the_same_by_headscale(headscale_tools: None, tmp_path: Path) -> None:
    fab = Path(sys.executable).with_name("fab")
    words = [str(fab), "rehearse", "--transport", "headscale", "--pq", "prefer", "--json"]
    ended = processes.run(["env", "-C", paths.REPOSITORY, f"HOME={tmp_path}", *words], timeout=800, accept=None)
    assert ended.status == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    result = json.loads(line)
    assert (result["transport"], result["way"]) == ("headscale", "direct")
    assert (result["device_changes"], result["leftovers"]) == ([], [])
    for secret in (CODE, KEY):
        assert not secret.search(ended.stdout + ended.stderr)
