"""The bench compares tools that do the same: it sees when one did less, and all have the same sixteen tasks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bench.places import ROLES
from bench.result import Ratio, Result, Series, paired, report, table
from bench.same_result import Made, differences
from support_tunnel.adapters.local_cloud.snapshot import Entry

UNIT = Entry(kind="file", mode=0o644, owner=(0, 0), content="ab" * 32, attributes=())
MADE = Made({"etc/systemd/system/x.service": UNIT, "etc/motd": None}, "active")


def test_equal_results_are_equal() -> None:
    assert differences(MADE, Made(dict(MADE.files), "active")) == []


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("etc/systemd/system/x.service", replace(UNIT, content="cd" * 32)),
        ("etc/systemd/system/x.service", replace(UNIT, mode=0o600)),
        ("etc/systemd/system/x.service", replace(UNIT, owner=(0, 1))),
        ("etc/motd", UNIT),
        ("etc/more", UNIT),
        ("etc/more", None),
    ],
)
def test_another_file_is_named(name: str, entry: Entry | None) -> None:
    assert differences(MADE, Made({**MADE.files, name: entry}, "active")) == [name]


def test_a_task_left_out_is_named() -> None:
    assert differences(MADE, Made({"etc/motd": None}, "active")) == ["etc/systemd/system/x.service"]


def test_a_service_that_does_not_run_is_named() -> None:
    (found,) = differences(MADE, Made(MADE.files, "failed"))
    assert "'active' and 'failed'" in found


def test_both_forms_of_the_role_have_the_same_tasks() -> None:
    in_yaml = re.findall(r"- name: (\d+)", (ROLES / "wireguard_server/tasks/main.yml").read_text())
    in_python = re.findall(r'(?:name="|template\()(\d+)', (ROLES / "deploy.py").read_text())
    assert in_yaml == in_python == [str(number) for number in range(1, 17)]


def test_a_ratio_is_taken_pair_by_pair() -> None:
    assert paired("a / b", [(2, 1), (30, 10), (4, 1)], "<= 1.2") == Ratio("a / b", 3.0, "<= 1.2")


def test_a_result_is_told_to_people_and_to_programs() -> None:
    result = Result("cli", (Ratio("a / b", 1.0512, "<= 1.2"),), (Series("a", "s", (3.0, 1.0, 2.0)),), ("A note.",))
    assert "| a / b | 1.05  | <= 1.2 |" in table(result)
    assert "| a, s     | 1   | 2      | 3   | 3    |" in table(result)
    told = report(result)
    assert told["ratios"] == {"a / b": {"value": 1.0512, "target": "<= 1.2"}}
    assert told["series"] == {"a": {"unit": "s", "median": 2.0, "samples": [3.0, 1.0, 2.0]}}
