"""`fab converge`: one host's trouble is its own, mistakes stop everything before a byte is sent, exit codes mean one thing."""

from __future__ import annotations

import functools
import json
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from support_tunnel.adapters.at_once import at_once
from support_tunnel.cli.admin import converge_output
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import Shell
from support_tunnel.flows.admin.converge import Outcome, Target, converge
from support_tunnel.flows.library import Library
from support_tunnel.testing.shells import ScratchShell

ROOT = Path(__file__).parents[2]
TASKS = """
- name: Greeting
  copy: {content: "hello {{ inventory_hostname }}\\n", dest: "{{ folder }}/greeting", mode: "0600"}
- name: Hidden
  copy: {content: "{{ hidden }}", dest: "{{ folder }}/hidden", mode: "0600"}
  no_log: true
"""


@pytest.fixture
def library(tmp_path: Path) -> Library:
    role = tmp_path / "roles/greet/tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text(TASKS)
    return Library(tmp_path / "roles", tmp_path / "templates")


class Hosts:
    """Real shells in folders; `down` hosts refuse, and what was open at once is counted."""

    def __init__(self, base: Path, *names: str, down: tuple[str, ...] = ()) -> None:
        self.base, self.down = base, down
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.canary = f"canary-{base.name}-value"
        for name in names:
            (base / name).mkdir()
        self.targets = [self._target(name) for name in names]

    def _target(self, name: str) -> Target:
        variables = {"folder": str(self.base / name), "inventory_hostname": name, "hidden": self.canary}
        return Target(name, variables, functools.partial(self._connect, name))

    def _connect(self, name: str) -> AbstractContextManager[Shell]:
        if name in self.down:
            raise HostError("ssh.unreachable", f"{name} did not answer")
        return self._open(name)

    @contextmanager
    def _open(self, name: str) -> Iterator[Shell]:
        self.opened.append(name)
        yield ScratchShell(self.base / name)
        self.closed.append(name)


def applied(hosts: Hosts, library: Library, **how: bool) -> dict[str, Outcome]:
    outcomes = converge(hosts.targets, ["greet"], library, at_once=functools.partial(at_once, forks=2), **how)
    return {outcome.host: outcome for outcome in outcomes}


def test_all_hosts_are_done_and_the_second_time_nothing_changes(tmp_path: Path, library: Library) -> None:
    hosts = Hosts(tmp_path, "a", "b", "c")
    checked = applied(hosts, library, check=True, diff=True)
    assert not (tmp_path / "a/greeting").exists()
    assert [outcome.changed for outcome in checked.values()] == [True] * 3
    report = checked["a"].report
    assert report is not None
    assert "+hello a" in report.outcomes[0].diff
    assert report.outcomes[1].diff == ""
    assert all(outcome.changed for outcome in applied(hosts, library).values())
    assert (tmp_path / "b/greeting").read_text() == "hello b\n"
    assert not any(outcome.changed or outcome.failed for outcome in applied(hosts, library).values())
    assert sorted(hosts.closed) == sorted(hosts.opened)


def test_a_host_that_is_down_or_fails_keeps_no_other_from_being_done(tmp_path: Path, library: Library) -> None:
    hosts = Hosts(tmp_path, "a", "down", "full", "z", down=("down",))
    (tmp_path / "full/greeting").mkdir()
    done = applied(hosts, library)
    assert {name: converge_output.word(outcome) for name, outcome in done.items()} == {
        "a": "changed", "down": "unreachable", "full": "failed", "z": "changed",
    }  # fmt: skip


def test_a_mistake_for_one_host_stops_all_before_anything_is_sent(tmp_path: Path, library: Library) -> None:
    hosts = Hosts(tmp_path, "a", "b")
    hosts.targets[1] = Target("b", {}, hosts.targets[1].connect)
    with pytest.raises(UsageError, match=r"main\.yml:3"):
        applied(hosts, library)
    assert hosts.opened == []


def test_a_role_that_does_not_fit_one_hosts_facts_is_that_hosts_failure(
    tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "- assert: {that: ansible_facts.architecture == wanted, fail_msg: another machine}\n"
    (library.roles / "greet/tasks/main.yml").write_text(told + TASKS)
    hosts = Hosts(tmp_path, "a", "b")
    right, wrong = (
        Target(target.name, {**target.variables, "wanted": wanted}, target.connect)
        for target, wanted in zip(hosts.targets, (platform.machine(), "abacus"), strict=True)
    )
    hosts.targets = [right, wrong]
    done = applied(hosts, library)
    assert {name: converge_output.word(outcome) for name, outcome in done.items()} == {"a": "changed", "b": "failed"}
    assert not list((tmp_path / "b").iterdir())
    converge_output.show([done["b"]], ["greet"], check=False, as_json=False)
    printed = capsys.readouterr().out
    assert "failed roles/greet/tasks/main.yml:1: another machine" in printed
    assert "b : ok=0 changed=0 unreachable=0 failed=1 skipped=0" in printed


def test_what_is_printed_holds_no_secret_and_obeys_no_host(
    tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = Hosts(tmp_path, "a", "down", down=("down",))
    (tmp_path / "a/greeting").write_text("\x1b[2Jold\n")
    done = list(applied(hosts, library, check=True, diff=True).values())
    done.sort(key=lambda outcome: outcome.host)
    converge_output.show(done, ["greet"], check=True, as_json=False)
    printed = capsys.readouterr().out
    assert "changed  greet: Greeting" in printed
    assert "+hello a" in printed
    assert "a    : ok=2 changed=2 unreachable=0 failed=0 skipped=0" in printed
    assert "down : ok=0 changed=0 unreachable=1 failed=0 skipped=0" in printed
    converge_output.show(done, ["greet"], check=True, as_json=True)
    told = capsys.readouterr().out
    assert json.loads(told)["hosts"]["down"]["error"]["code"] == "ssh.unreachable"
    for text in (printed, told):
        assert hosts.canary not in text
        assert "\x1b" not in text


def test_an_interruption_finishes_what_was_begun_and_begins_no_more() -> None:
    begun, finished, never = list[int](), list[int](), threading.Event()

    def work(number: int) -> int:
        begun.append(number)
        assert number == 0 or not never.wait(0.5)
        finished.append(number)
        return number

    results = at_once(work, range(9), forks=1)
    assert next(results) == 0
    with pytest.raises(KeyboardInterrupt):
        results.throw(KeyboardInterrupt())
    assert finished == begun
    assert len(begun) < 9


# --- as typed -------------------------------------------------------------------------------------------------------


def fab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fabric", *words], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["converge", "device_settings"], "usage.hosts"),
        (["-H", "web", "converge", "device_settings"], "usage.hosts"),
        (["converge", "device_settings", "-H", "nobody"], "inventory.unknown"),
        (["converge", "no_such_role", "-H", "localhost"], "role.missing"),
        (["converge", "device_settings", "-H", "localhost"], "role.variable"),
        (["converge", "device_settings", "-H", "localhost", "--forks", "0"], "usage.range"),
        (["converge", "device_settings", "-H", "localhost", "--inventory", "/nowhere"], "inventory.missing"),
    ],
)
def test_wrong_use_is_one_error(words: list[str], code: str) -> None:
    done = fab(*words)
    assert done.returncode == 2
    assert f"Error ({code})" in done.stderr
    assert done.stdout == ""
