"""Whole scripts, with every module that needs no systemd and no accounts: each shell, sudo or not, check, diff, failure, undo."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from tests.desired.bench import SHELLS, Bench, make_bench, statuses
from tests.desired.covered import EVERYTHING, HANDLER, IMPORTED, KEYS, SUPPLIES
from tests.desired.private_accounts import private_accounts
from tests.desired.supply import archive, web
from tests.desired.test_apply import everything
from tests.desired.test_oracle import furnish
from tests.desired.test_undo import nothing_left

ARCHIVE = archive()
SUDO = ["sudo", "-n"]
Variables = Mapping[str, object]


@pytest.fixture(scope="module")
def variables() -> Iterator[Variables]:
    with web() as server:
        server.files["/archive"] = ARCHIVE
        yield {"server": server.url, "digest": hashlib.sha256(ARCHIVE).hexdigest(), "hostile": "{{ 1 }} $(id) '\"\n"}


def whole(bench: Bench, tasks: str = EVERYTHING + KEYS + SUPPLIES) -> None:
    everything(bench)
    bench.role(tasks, handlers__main=HANDLER, defaults__main='default_word: "word"\n', **IMPORTED)
    furnish(bench, bench.root)


@pytest.mark.parametrize("before", [[], SUDO], ids=["root", "sudo"])
@pytest.mark.parametrize("shell", SHELLS)
def test_check_foretells_apply_and_the_second_run_changes_nothing(
    tmp_path: Path, variables: Variables, shell: str, before: list[str]
) -> None:
    bench = make_bench(tmp_path, shell)
    bench.shell = [*before, *bench.shell]
    whole(bench)
    untouched = bench.tree()
    checked = bench.apply(variables, check=True, diff=True)
    assert bench.tree() == untouched
    assert checked.failed is None
    applied = bench.apply(variables, diff=True)
    applied.raise_for_failure("host")
    foretold = [
        NOT_IN_A_CHECK.get(task.task, status) for status, task in zip(statuses(checked), applied.outcomes, strict=True)
    ]
    assert foretold == statuses(applied)
    differing = {outcome.task for outcome in applied.outcomes if outcome.diff}
    assert differing == {outcome.task for outcome in checked.outcomes if outcome.diff} == DIFFERING
    made = bench.tree()
    again = bench.apply(variables)
    assert set(statuses(again)) == {"ok", "skipped"}
    assert bench.tree() == made


NOT_IN_A_CHECK = {"Shell line": "ok", "Reads only": "ok", "Say so": "changed"}
"""Commands that nothing tells whether to run are skipped by a check, as with Ansible; what they are when they do run."""
DIFFERING = {
    "A template", "Text", "Bytes", "A line", "Shared template", "Line replaced", "Line added", "Line by other names", "copy",
}  # fmt: skip
"""Files with text of their own; not those of no_log (`Keys of tasks`), not what is fetched, not what stays empty."""


@pytest.mark.onebox
@pytest.mark.parametrize("shell", SHELLS)
def test_a_login_that_may_use_sudo_does_the_same_as_root(tmp_path: Path, variables: Variables, shell: str) -> None:
    bench = make_bench(tmp_path, shell)
    with private_accounts(bench) as accounts:
        accounts.inside("useradd", "-M", "-N", "alice")
        accounts.inside(
            "sh", "-c", "echo 'alice ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/alice; chmod 440 /etc/sudoers.d/alice"
        )
        plain = bench.shell[len(accounts.enter) :]
        bench.shell = [*accounts.enter, "setpriv", "--reuid=alice", "--regid=100", "--clear-groups", *plain]
        bench.role(
            "- user: {name: bob, create_home: false}\n- copy: {content: x, dest: /etc/ours, mode: '0600', owner: bob}\n"
        )
        refused = bench.apply()
        assert refused.failed is not None
        bench.shell[-len(plain) :] = [*SUDO, *plain]
        assert statuses(bench.apply(undo=True)) == ["changed", "changed"]
        assert accounts.inside("stat", "-c", "%U %a", "/etc/ours") == "bob 600\n"
        assert statuses(bench.apply(undo=True)) == ["ok", "ok"]
        bench.undo().raise_for_failure("host")
        assert accounts.inside("sh", "-c", "getent passwd bob; ls /etc/ours 2>/dev/null; true") == ""


# --- failure at each step -------------------------------------------------------------------------------------------

STEPS = [
    *yaml.safe_load(EVERYTHING.replace("  when: written is changed\n", "")),
    *(task for task in yaml.safe_load(SUPPLIES)),
]
FAIL = {"name": "Failure", "shell": {"cmd": "echo as asked >&2; exit 3"}, "changed_when": False}


@pytest.mark.parametrize("number", range(len(STEPS) + 1))
def test_a_failure_at_each_step_stops_there_and_the_next_run_goes_on(
    tmp_path: Path, variables: Variables, number: int
) -> None:
    bench, straight = make_bench(tmp_path / "it", "dash"), make_bench(tmp_path / "straight", "dash")
    for made, tasks in ((bench, [*STEPS[:number], FAIL, *STEPS[number:]]), (straight, STEPS)):
        whole(made, yaml.safe_dump(tasks, sort_keys=False))
    report = bench.apply(variables)
    at = statuses(report).index("failed")
    assert report.outcomes[at].task == "Failure"
    assert report.outcomes[at].detail == "as asked"
    assert "failed" not in statuses(report)[:at]
    assert set(statuses(report)[at + 1 :]) <= {"skipped"}
    whole_again(bench)
    bench.apply(variables).raise_for_failure("host")
    straight.apply(variables).raise_for_failure("host")
    assert neutral(bench) == neutral(straight)


def whole_again(bench: Bench) -> None:
    bench.role(yaml.safe_dump(STEPS, sort_keys=False))


def neutral(bench: Bench) -> object:
    return re.sub(re.escape(repr(str(bench.root))[1:-1]), "ROOT", repr(bench.tree()))


# --- undo -----------------------------------------------------------------------------------------------------------

UNDOABLE = """
- file: {path: "{{ root }}/new/deep", state: directory, mode: "0750", owner: games}
- copy: {content: x, dest: "{{ root }}/given", mode: "0600", owner: games}
- template: {src: t.j2, dest: "{{ root }}/new/deep/t", mode: "0640"}
- lineinfile: {path: "{{ root }}/unended", regexp: ^x, line: x, mode: "0604", group: mail}
- file: {path: "{{ root }}/old_link", src: given, state: link}
- file: {path: "{{ root }}/tree", state: absent}
- get_url: {url: "{{ server }}/archive", dest: "{{ root }}/remove_me", checksum: "sha256:{{ digest }}", mode: "0640", owner: games}
- get_url: {url: "{{ server }}/archive", dest: "{{ root }}/new/fetched", checksum: "sha256:{{ digest }}", mode: "0640"}
- get_url: {url: "{{ server }}/archive", dest: "{{ root }}/archive", checksum: "sha256:{{ digest }}", mode: "0604", group: mail}
- unarchive: {src: "{{ root }}/archive", dest: "{{ root }}/new", remote_src: true}
- unarchive: {src: "{{ root }}/archive", dest: "{{ root }}/filled", remote_src: true, owner: games, group: mail}
"""


@pytest.mark.parametrize("number", [*range(len(yaml.safe_load(UNDOABLE))), None])
def test_undo_of_each_module_puts_the_tree_back(bench: Bench, variables: Variables, number: int | None) -> None:
    """One task alone (with the folders that it needs), and all of them one after another."""
    tasks = yaml.safe_load(UNDOABLE)
    whole(bench, yaml.safe_dump(tasks if number is None else [tasks[0], tasks[number]]))
    (bench.base / "roles/demo/handlers/main.yml").unlink()
    (bench.root / "filled/deep/er").mkdir(parents=True)
    (bench.root / "filled/deep/er/file").write_text("theirs")
    (bench.root / "filled/deep/er/file").chmod(0o4711)
    (bench.root / "filled").chmod(0o1777)
    before = bench.tree()
    bench.apply(variables, undo=True).raise_for_failure("host")
    assert bench.tree() != before
    bench.undo().raise_for_failure("host")
    assert bench.tree() == before
    assert nothing_left(bench)
