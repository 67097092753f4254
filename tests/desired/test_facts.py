"""`ansible_facts`: asked for only by a role that names them, once, and as Ansible tells them."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import yaml

from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.desired import FactsNeeded, compile_roles, read_facts
from support_tunnel.desired.facts import FACTS
from support_tunnel.flows.library import Library
from support_tunnel.testing.shells import Answer, ScratchShell, ScriptedShell
from tests.desired.bench import Bench
from tests.desired.oracle import apply_with_ansible

TOLD = ("architecture", "distribution", "distribution_major_version")
"""Of any machine; `service_mgr` only where systemd runs, which is what tests/desired/test_units.py looks at."""
TASKS = yaml.safe_dump(
    [
        {
            "copy": {
                "content": "\n".join(f"{{{{ ansible_facts.{name} }}}}" for name in TOLD),
                "dest": "{{ root }}/told",
                "mode": "0600",
            }
        }
    ]
)  # one task: each costs ansible-playbook half a second


class Counting(ScratchShell):
    scripts = 0

    def run_script(self, script: Secret[str], *, timeout: float) -> Completed:
        self.scripts += 1
        return super().run_script(script, timeout=timeout)


def library(bench: Bench) -> Library:
    return Library(bench.base / "roles", bench.base / "templates")


def facts(said: str) -> dict[str, str]:
    return dict(read_facts(ScriptedShell([Answer("", Completed(0, said, ""))])))


@pytest.mark.parametrize(
    "tasks",
    [
        "- debug: {msg: '{{ ansible_facts.distribution }}'}",
        "- debug: {msg: x}\n  when: ansible_facts['architecture'] == 'x86_64'",
        "- debug: {msg: x}\n  when: ansible_facts is defined",
        "- debug: {msg: '{{ indirect }}'}",
        "- template: {src: t.j2, dest: /x, mode: '0600'}",
        "- debug: {msg: x}\n  loop: '{{ [ansible_facts.architecture] }}'",
    ],
)
def test_a_role_that_names_them_asks(dash: Bench, tasks: str) -> None:
    dash.role(tasks, defaults__main="indirect: '{{ ansible_facts.distribution }}'", templates__t="{{ ansible_facts }}")
    (dash.base / "roles/demo/templates/t").rename(dash.base / "roles/demo/templates/t.j2")
    with pytest.raises(FactsNeeded):
        dash.plan()
    compile_roles(
        dash.base / "roles",
        ["demo"],
        {},
        templates=dash.base,
        facts={"distribution": "Debian", "architecture": "x86_64"},
    )


def test_a_role_that_does_not_name_them_costs_one_round_trip_and_one_that_does_two(dash: Bench) -> None:
    (dash.base / "cwd").mkdir()
    counted = []
    for tasks in ("- debug: {msg: x}\n- command: {cmd: 'true'}\n  changed_when: false\n", TASKS):
        dash.role(tasks)
        shell = Counting(dash.base / "cwd")
        library(dash).converge(shell, ["demo"], {"root": str(dash.root)}, host="it", timeout=60)
        counted.append(shell.scripts)
    assert counted == [1, 2]
    assert (dash.root / "told").read_text().splitlines()[0] == platform.machine()


@pytest.mark.oracle
def test_ansible_tells_the_same(dash: Bench) -> None:
    dash.role(TASKS)
    library(dash).converge(ScratchShell(dash.base), ["demo"], {"root": str(dash.root)}, host="it", timeout=60)
    assert all((dash.root / "told").read_text().split("\n"))
    again = apply_with_ansible(
        dash.base / "roles", ["demo"], {"root": str(dash.root)}, templates=dash.base, gather_facts=True
    )
    assert again.changed == 0, again.output


def test_only_what_is_known_and_plain_is_believed() -> None:
    assert facts("architecture\tx86_64\nkernel\t6\n") == {"architecture": "x86_64"}
    assert facts("distribution\tDebian\ndistribution\tUbuntu\n") == {}
    assert facts("distribution\t{{ 1 }}; id\nservice_mgr\t" + "x" * 99 + "\n") == {}
    assert facts("".join(f"{name}\tv1\n" for name in FACTS)) == dict.fromkeys(FACTS, "v1")


def test_a_host_that_cannot_tell_is_a_failure_and_nothing_is_guessed(dash: Bench) -> None:
    with pytest.raises(HostError):
        read_facts(ScriptedShell([Answer("", Completed(1, "", "sudo: no"))]))
    dash.role("- debug: {msg: '{{ ansible_facts.service_mgr }}'}")
    with pytest.raises(UsageError, match=r"main\.yml:1: .*service_mgr"):
        compile_roles(Path(dash.base / "roles"), ["demo"], {}, templates=dash.base, facts={"distribution": "Debian"})


def test_the_name_cannot_be_taken_by_a_variable(dash: Bench) -> None:
    dash.role("- debug: {msg: '{{ ansible_facts.distribution }}'}")
    with pytest.raises(FactsNeeded):
        dash.plan({"ansible_facts": {"distribution": "invented"}})


def test_shape_and_arguments_are_judged_before_anybody_is_asked(dash: Bench) -> None:
    dash.role(TASKS + "- copy: {content: x, dest: /x, backup: true}\n")
    with pytest.raises(UsageError, match="argument 'backup'"):
        dash.plan()
