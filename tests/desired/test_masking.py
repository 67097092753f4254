"""A secret is in the script and nowhere else: not in a report, a diff, an error, a repr, an argument list or the environment."""

from __future__ import annotations

import base64
import secrets

import pytest

from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from tests.desired.bench import Bench

SPELLINGS = [
    lambda text: text,
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: text.splitlines()[0],
    repr,
]


def said(dash: Bench, value: object, **how: bool) -> str:
    plan = dash.plan({"key": value}, **how)
    done = dash.run(plan.script)
    report = plan.report(done)
    words = [repr(plan), repr(report)]
    try:
        report.raise_for_failure("host")
    except HostError as error:
        words.append(error.message)
    return "\n".join(words)


TASKS = {
    "debug": "- debug: {msg: 'is {{ key }}'}",
    "stderr": "- shell: {cmd: 'cat >&2; exit 1', stdin: '{{ key }}', creates: /nonexistent/x}",
    "stderr in base64": "- shell: {cmd: 'base64 -w0 >&2; exit 1', stdin: '{{ key }}', stdin_add_newline: false, creates: /nonexistent/x}",
    "name": "- name: 'task {{ key }}'\n  debug: {msg: x}",
    "loop": "- debug: {msg: '{{ item }}'}\n  loop: ['{{ key }}', '{{ key | upper }}']",
    "file": "- copy: {content: 'k={{ key }}', dest: '{{ root }}/f', mode: '0600'}",
    "nested": "- copy: {content: '{{ outer }}', dest: '{{ root }}/f', mode: '0600'}",
}


@pytest.mark.parametrize("case", TASKS)
@pytest.mark.parametrize("tail", ["", "\nsecond $line 'q'"])
def test_a_secret_shows_nowhere(dash: Bench, case: str, tail: str) -> None:
    canary = "canary-" + secrets.token_hex(8) + tail
    dash.role(TASKS[case], defaults__main="outer: 'o {{ key }}'")
    words = said(dash, Secret(canary), diff=True)
    for spell in SPELLINGS:
        assert spell(canary) not in words
    if case != "loop":
        assert secrets_shown(canary, words) == []


def secrets_shown(canary: str, words: str) -> list[str]:
    return [part for part in canary.splitlines() if part in words]


def test_the_old_content_of_a_secret_file_is_not_shown_either(dash: Bench) -> None:
    old = "canary-" + secrets.token_hex(8)
    (dash.root / "f").write_text(old)
    dash.role(TASKS["file"])
    assert old not in said(dash, Secret("new"), diff=True)


def test_no_log_hides_detail_and_diff(dash: Bench) -> None:
    canary = "canary-" + secrets.token_hex(8)
    dash.role(
        f"- copy: {{content: {canary}, dest: '{{{{ root }}}}/f', mode: '0600'}}\n  no_log: true\n- debug: {{msg: {canary}}}\n  no_log: true"
    )
    words = said(dash, "x", diff=True)
    assert canary not in words
    dash.role(f"- shell: {{cmd: 'echo {canary} >&2; exit 1', creates: /nonexistent/x}}\n  no_log: true")
    assert canary not in said(dash, "x")


def test_a_variable_that_the_role_calls_no_log_is_a_secret(dash: Bench) -> None:
    canary = "canary-" + secrets.token_hex(8)
    dash.role(
        TASKS["debug"], meta__argument_specs="argument_specs: {main: {options: {key: {type: str, no_log: true}}}}"
    )
    assert canary not in said(dash, canary)
    dash.role("- command: {cmd: 'echo {{ key }}', creates: /x}")
    with pytest.raises(UsageError, match="ps"):
        dash.plan({"key": canary})


def test_an_ordinary_diff_is_shown(dash: Bench) -> None:
    (dash.root / "f").write_text("old\nsame\n")
    dash.role('- copy: {content: "new\\nsame\\n", dest: "{{ root }}/f", mode: "0600"}')
    report = dash.apply(diff=True, check=True)
    assert report.outcomes[0].diff == "--- before\n+++ after\n@@ -1,2 +1,2 @@\n-old\n+new\n same\n"
    assert (dash.root / "f").read_text() == "old\nsame\n"


@pytest.mark.parametrize("create", ["true", "false"])
def test_the_diff_of_a_line_is_the_hosts_own(bench: Bench, create: str) -> None:
    (bench.root / "f").write_text("a\nold\nz\n")
    bench.role(
        f'- lineinfile: {{path: "{{{{ root }}}}/f", regexp: ^old, line: new, create: {create}, mode: "0644"}}\n'
        '- file: {path: "{{ root }}/d", state: directory, mode: "0755"}\n'
    )
    checked, applied = bench.apply(diff=True, check=True), bench.apply(diff=True)
    wanted = "--- before\n+++ after\n@@ -1,3 +1,3 @@\n a\n-old\n+new\n z\n"
    assert (
        [outcome.diff for outcome in checked.outcomes] == [outcome.diff for outcome in applied.outcomes] == [wanted, ""]
    )
    assert (bench.root / "f").read_text() == "a\nnew\nz\n"
    assert [outcome.diff for outcome in bench.apply(diff=True).outcomes] == ["", ""]


def test_no_log_hides_a_line_and_its_surroundings(dash: Bench) -> None:
    canary = "canary-" + secrets.token_hex(8)
    (dash.root / "f").write_text(f"{canary}\nold\n")
    task = '- lineinfile: {path: "{{ root }}/f", regexp: ^old, line: new}\n'
    dash.role(task)
    assert canary in said(dash, "x", diff=True, check=True)
    dash.role(task + "  no_log: true\n")
    plan = dash.plan({"key": "x"}, diff=True)
    done = dash.run(plan.script)
    assert base64.b64encode(f"{canary}\nold\n".encode()).decode() not in done.stdout
    assert canary not in repr(plan.report(done))


def test_what_the_host_says_when_nothing_ran_is_masked(dash: Bench) -> None:
    canary = "canary-" + secrets.token_hex(8)
    dash.role(TASKS["file"])
    report = dash.plan({"key": Secret(canary)}).report(Completed(1, "", f"sudo: {canary}?"))
    assert report.failed is not None
    assert report.failed.detail.endswith("sudo: ***?")
