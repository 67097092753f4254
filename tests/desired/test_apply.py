"""Compiled roles in real shells: what they make, that they make it once, and what happens when something fails or dies."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile

import pytest

from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from tests.desired.bench import Bench, statuses
from tests.desired.covered import EVERYTHING, HANDLER
from tests.desired.supply import archive, web


def everything(bench: Bench) -> None:
    bench.role(
        EVERYTHING, handlers__main=HANDLER, **{"templates__t.j2": "{% if true %}\nroot={{ root }}\n{% endif %}\n"}
    )
    (bench.base / "roles/demo/files").mkdir(exist_ok=True)
    (bench.base / "roles/demo/files/bytes").write_bytes(bytes(range(256)))


def test_check_mode_says_what_would_change_and_changes_nothing(bench: Bench) -> None:
    everything(bench)
    before = bench.tree()
    report = bench.apply(check=True)
    assert bench.tree() == before
    assert report.changed
    assert not (bench.base / "run").exists()


def test_the_second_run_changes_nothing(bench: Bench) -> None:
    everything(bench)
    (bench.root / "gone").mkdir()
    first = bench.apply()
    first.raise_for_failure("host")
    assert statuses(first) == ["changed"] * 9 + ["ok", "ok", "changed"]
    made = bench.tree()
    assert made["a"][1] == made["a/b"][1] == 0o750
    assert made["bytes"][1:] == (0o4755, 0, 0, bytes(range(256))) or made["bytes"][1] == 0o4755
    assert made["a/b/t"][4] == f"root={bench.root}\n".encode()
    assert made["lines"][4] == b"y 1\n"
    assert made["handled"][4] == b"ran\n"
    second = bench.apply()
    assert not second.changed
    assert set(statuses(second)) == {"ok", "skipped"}
    assert bench.tree() == made
    assert not (bench.base / "run").exists()


def test_drift_is_repaired_and_only_drift(bench: Bench) -> None:
    everything(bench)
    bench.apply()
    wanted = bench.tree()
    (bench.root / "a/b/t").write_text("other")
    (bench.root / "two").chmod(0o666)
    (bench.root / "link").unlink()
    (bench.root / "link").symlink_to("two")
    (bench.root / "lines").write_text("z\ny 2\ny 3")
    report = bench.apply()
    changed = [f"{outcome.task} {outcome.item}".strip() for outcome in report.outcomes if outcome.status == "changed"]
    assert changed == ["A template", "Text two", "A line", "A link", "Say so"]
    wanted["lines"] = (*wanted["lines"][:4], b"z\ny 2\ny 1\n")
    wanted["handled"] = (*wanted["handled"][:4], b"ran\nran\n")
    assert bench.tree() == wanted


TARGETS = ["a", "one", "bytes", "lines", "link", "when"]


@pytest.mark.parametrize("name", TARGETS)
def test_after_a_failure_the_rest_is_skipped(bench: Bench, name: str) -> None:
    everything(bench)
    # a folder with something in it stands where the task wants a file, and a file where it wants a folder
    if name == "a":
        (bench.root / name).write_text("in the way")
    else:
        (bench.root / name / "in the way").mkdir(parents=True)
    if name == "when":  # a shell task with `creates` is content with anything there
        bench.role(
            "- shell: {cmd: 'echo no >&2; exit 3', creates: '{{ root }}/other'}\n" + EVERYTHING.lstrip(),
            handlers__main=HANDLER,
        )
    report = bench.apply()
    words = statuses(report)
    at = words.index("failed")
    assert set(words[:at]) <= {"ok", "changed"}
    assert set(words[at + 1 :]) == {"skipped"}
    assert report.outcomes[at].detail
    with pytest.raises(HostError, match="failed: ") as caught:
        report.raise_for_failure("the host")
    assert caught.value.code == "converge.failed"
    assert report.outcomes[at].task in caught.value.message


HOSTILE = [
    "sp ace",
    "qu'ote",
    'dou"ble',
    "$(touch pwned)",
    "`touch pwned`",
    "-rf",
    "semi;colon",
    "new\nline",
    "back\\slash",
    "*",
    "ünï",
    "\t",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_names(bench: Bench, name: str) -> None:
    bench.role(
        """
- file: {path: "{{ root }}/{{ name }}", state: directory, mode: "0700"}
- copy: {dest: "{{ root }}/{{ name }}/{{ name }}", content: "{{ name }}", mode: "0600"}
- file: {path: "{{ root }}/{{ name }}/l", src: "{{ name }}", state: link}
- lineinfile: {path: "{{ root }}/{{ name }}/{{ name }}", regexp: ^zzz$, line: "a{{ name | replace('\\n', '') }}"}
- shell: {cmd: "echo > {{ (root ~ '/' ~ name ~ '/s') | quote }}", creates: "{{ root }}/{{ name | replace('*', '') }}/s"}
- command: {argv: [cp, "{{ root }}/{{ name }}/s", "{{ root }}/{{ name }}/c"], removes: "{{ root }}/{{ name | replace('*', '') }}/s", expand_argument_vars: false}
- file: {path: "{{ root }}/{{ name }}/s", state: absent}
- get_url: {url: "{{ url }}/{{ name | urlencode }}$(touch${IFS}pwned)'", dest: "{{ root }}/{{ name }}/{{ name }} got", checksum: "sha256:{{ digest }}", mode: "0600"}
- unarchive: {src: "{{ root }}/{{ name }}/{{ name }} got", dest: "{{ root }}/{{ name }}", remote_src: true, creates: "{{ root }}/{{ name }}/inside {{ name }}"}
- template: {src: t.j2, dest: "{{ root }}/{{ name }}/{{ name }} t", mode: "0600"}
""",
        **{"templates__t.j2": "{{ name }}"},
    )
    content = archive([("inside", tarfile.REGTYPE, name)])
    with web() as server:
        server.files[f"/{name}$(touch${{IFS}}pwned)'"] = content
        given = {"name": name, "url": server.url, "digest": hashlib.sha256(content).hexdigest()}
        report = bench.apply(given, undo=False)
    if name == "*":
        assert statuses(report)[:4] == ["changed"] * 4
    else:
        report.raise_for_failure("host")
        assert (bench.root / name / "inside").read_text() == (bench.root / name / f"{name} t").read_text() == name
    assert (bench.root / name / "l").readlink().name == name
    assert (bench.root / name / name).read_text().startswith(name)
    assert not list(bench.base.rglob("pwned"))
    assert {path.name for path in bench.root.iterdir()} == {name}


def test_a_truncated_script_does_nothing(dash: Bench) -> None:
    everything(dash)
    before = dash.tree()
    script = dash.plan().script.reveal()
    for cut in [*range(0, len(script) - len("main </dev/null\n"), 997), len(script) - len("main </dev/null\n")]:
        done = dash.run(Secret(script[:cut]))
        assert done.stdout == ""
        assert dash.tree() == before


def test_no_command_of_a_role_can_read_the_script(bench: Bench) -> None:
    bench.role(
        '- shell: {cmd: "cat; cat > {{ root }}/stolen"}\n  changed_when: true\n- copy: {content: z, dest: "{{ root }}/z", mode: "0600"}\n'
    )
    bench.apply().raise_for_failure("host")
    assert bench.tree()["stolen"][4] == b""
    assert bench.tree()["z"][4] == b"z"


def test_a_handler_is_not_lost_when_the_run_dies_before_it(bench: Bench) -> None:
    tasks = """
- copy: {content: new, dest: "{{ root }}/config", mode: "0600"}
  notify: Say so
- shell: {cmd: "{{ end }}"}
  changed_when: false
"""
    bench.role(tasks, handlers__main=HANDLER)
    died = bench.apply({"end": "kill -KILL 0"})
    assert [outcome.detail[:13] for outcome in died.outcomes if outcome.status == "failed"] == ["state unknown"] * 2
    assert not (bench.root / "handled").exists()
    recovered = bench.apply({"end": ":"})
    assert statuses(recovered) == ["ok", "ok", "changed"]
    assert (bench.root / "handled").read_text() == "ran\n"
    assert statuses(bench.apply({"end": ":"})) == ["ok", "ok", "skipped"]


def test_a_handler_runs_once_for_many_notifications(bench: Bench) -> None:
    bench.role(
        """
- copy: {content: a, dest: "{{ root }}/{{ item }}", mode: "0600"}
  loop: [x, y]
  notify: [Say so]
- copy: {content: a, dest: "{{ root }}/z", mode: "0600"}
  notify: Say so
""",
        handlers__main=HANDLER,
    )
    bench.apply()
    assert (bench.root / "handled").read_text() == "ran\n"


def test_a_report_line_that_is_missing_is_a_failure(dash: Bench) -> None:
    everything(dash)
    plan = dash.plan()
    done = dash.run(plan.script)
    lines = done.stdout.splitlines(keepends=True)
    for gone in range(len(lines)):
        if " before " in lines[gone]:
            continue
        cut = Completed(0, "".join(lines[:gone] + lines[gone + 1 :]), "")
        failed = plan.report(cut).failed
        assert failed is not None
        assert failed.detail.startswith("state unknown")


def test_a_step_that_is_reported_twice_is_a_failure(dash: Bench) -> None:
    everything(dash)
    plan = dash.plan()
    done = dash.run(plan.script)
    assert plan.report(Completed(0, done.stdout + "support-tunnel: 0 ok \n", "")).failed is not None


def test_a_daemon_that_a_task_starts_does_not_hold_the_report_open(bench: Bench) -> None:
    bench.role('- shell: {cmd: "sleep 300 >/dev/null 2>&1 & echo $! > {{ root }}/pid"}\n  changed_when: true\n')
    bench.apply().raise_for_failure("host")  # Bench.run would meet its own timeout
    subprocess.run(["kill", (bench.root / "pid").read_text().strip()], check=True)


def test_a_link_planted_under_the_temporary_name_is_not_followed(bench: Bench) -> None:
    victim = bench.base / "victim"
    victim.write_text("safe")
    (bench.root / "f.st-new").symlink_to(victim)
    bench.role('- copy: {content: evil, dest: "{{ root }}/f", mode: "0666"}')
    bench.apply().raise_for_failure("host")
    assert victim.read_text() == "safe"
    assert (bench.root / "f").read_text() == "evil"


def test_conditions_on_registered_results(bench: Bench) -> None:
    bench.role("""
- copy: {content: a, dest: "{{ root }}/a", mode: "0600"}
  register: first
- copy: {content: b, dest: "{{ root }}/b", mode: "0600"}
  when: first is changed
- copy: {content: c, dest: "{{ root }}/c", mode: "0600"}
  when: not (first.changed or no)
- copy: {content: d, dest: "{{ root }}/d", mode: "0600"}
  when: [yes_please, first is not changed]
""")
    assert statuses(bench.apply({"no": False, "yes_please": True})) == ["changed", "changed", "skipped", "skipped"]
    assert statuses(bench.apply({"no": False, "yes_please": True})) == ["ok", "skipped", "changed", "changed"]
    assert statuses(bench.apply({"no": True, "yes_please": False})) == ["ok", "skipped", "skipped", "skipped"]


def test_stdin_reaches_a_command_and_no_argument_list(bench: Bench) -> None:
    secret = Secret("psk '$x'\n" + "q" * 20)
    bench.role(
        '- shell: {cmd: "cat > {{ root }}/got", stdin: "{{ key }}", stdin_add_newline: false, creates: "{{ root }}/got"}'
    )
    bench.apply({"key": secret}).raise_for_failure("host")
    assert (bench.root / "got").read_text() == secret.reveal()
