"""The same role folder, by ansible-playbook and by us, in twin places: the same tree, and a second run changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.desired.bench import Bench, tree
from tests.desired.oracle import apply_with_ansible
from tests.desired.test_apply import EVERYTHING, everything

pytestmark = pytest.mark.oracle

MORE = """
- name: Keys of tasks
  copy: {content: "{{ word }} {{ item.a }}", dest: "{{ root }}/{{ item.a }}", mode: "{{ item.mode | default(omit) }}"}
  loop: [{a: k1, mode: "0640"}, {a: k2, mode: "0604"}]
  when: [root is defined, item.a != 'k3']
  vars: {word: "{{ default_word | upper }}"}
  tags: [some]
  become: false
- import_tasks: more.yml
  when: root is defined
  vars: {from_import: "{{ default_word }}-imported"}
- name: Shared template
  template: {src: shared.j2, dest: "{{ root }}/shared", mode: "0644"}
- name: Line replaced
  lineinfile: {path: "{{ root }}/given", regexp: '^#?\\s*(Port|PORT)\\s+\\d+', line: "Port 22"}
- name: Line already there
  lineinfile: {path: "{{ root }}/given", regexp: '^Never{2,3}$', line: "last"}
- name: Line added
  lineinfile: {path: "{{ root }}/unended", regexp: '^q[a-z]+$', line: "added"}
- name: Owned
  copy: {content: "", dest: "{{ root }}/owned", owner: games, group: mail, mode: "6711"}
- name: Folder deep
  file: {path: "{{ root }}/deep/er/est", state: directory, owner: games, group: "8", mode: "2750"}
- name: Gone
  file: {path: "{{ root }}/tree", state: absent}
- name: Link changed
  file: {path: "{{ root }}/old_link", src: "{{ root }}/given", state: link}
- name: Command
  command: {argv: [cp, "{{ root }}/given", "{{ root }}/copied file"], creates: "{{ root }}/copied file"}
- name: Command line
  command: "touch '{{ root }}/quoted $(name)'"
  args: &no_args
  when: false
- name: Removing
  shell: {cmd: "rm {{ root }}/remove_me && umask > {{ root }}/umask", removes: "{{ root }}/remove_me", chdir: "{{ root }}"}
- name: Fed
  shell: {cmd: "cat > fed", stdin: "{{ hostile }}", chdir: "{{ root }}", creates: "{{ root }}/fed"}
- name: Reads only
  command: {cmd: "true"}
  changed_when: false
"""

FILTERS = [
    "1 | bool", "'yes' | bool", "'Off' | bool", "x | default('d')", "'' | default('d', true)", "data | to_json", "data | to_nice_json",
    "data | to_nice_yaml", "'a b' | b64encode", "'YSBi' | b64decode", "'a' | hash('sha256')", "'a' | hash", "\"a'b\" | quote",
    "'' | quote", "true | ternary('a', 'b')", "'/a/b.c' | basename", "'/a/b.c' | dirname", "{'a': 1} | combine({'b': 2})",
    "[3, 1, 2] | sort", "['a', 'b'] | join('-')", "'abc' | upper", "data.list | length", "data.list | first", "'a,b'.split(',')",
    "none", "'x' ~ none", "true", "1.5", "[1, 'a', none]", "{'a': none}", "hostile", "3 // 2", "'%05d' % 42", "data is defined",
    "nothing is defined", "data.list | map('string') | list", "data | dictsort | list", "'a' in data.list", "data.list | map('string')", "range(3) | list", "(1, 2)",
]  # fmt: skip


def twins(bench: Bench) -> tuple[Path, Path]:
    places = (bench.base / "ours", bench.base / "ansibles")
    for place in places:
        place.mkdir(mode=0o755)
        (place / "given").write_text("a\n#  PORT  2222\nlast\nPort 33 # two\nend\n")
        (place / "given").chmod(0o604)
        (place / "unended").write_text("no newline")
        (place / "tree/in").mkdir(parents=True)
        (place / "old_link").symlink_to("tree")
        (place / "remove_me").touch()
    (bench.base / "templates").mkdir(exist_ok=True)
    (bench.base / "templates/shared.j2").write_text(
        "{% for x in [1, 2] %}\n  x{{ x }}\n{% endfor %}\n{# gone #}\nend {{ default_word }}\n\n"
    )
    return places


def compare(bench: Bench, variables: dict[str, object]) -> None:
    ours, theirs = twins(bench)
    plan = bench.plan({**variables, "root": str(ours)})
    plan.report(bench.run(plan.script)).raise_for_failure("host")
    theirs_variables = {**variables, "root": str(theirs)}
    how = {
        "roles": bench.base / "roles",
        "names": ["demo"],
        "variables": theirs_variables,
        "templates": bench.base / "templates",
    }
    first = apply_with_ansible(**how)  # type: ignore[arg-type]  # one dict, spelled once for two calls
    assert first.changed
    made = tree(theirs)
    assert _neutral(tree(ours), ours) == _neutral(made, theirs)
    second = apply_with_ansible(**how)  # type: ignore[arg-type]  # as above
    assert second.changed == 0, second.output
    again = plan.report(bench.run(plan.script))
    assert not again.changed
    assert _neutral(tree(ours), ours) == _neutral(tree(theirs), theirs)


def _neutral(found: dict[str, tuple[object, ...]], root: Path) -> dict[str, tuple[object, ...]]:
    """Paths differ between twins by the name of the place alone."""

    def same(value: object) -> object:
        if isinstance(value, bytes):
            return value.replace(str(root).encode(), b"ROOT")
        return value.replace(str(root), "ROOT") if isinstance(value, str) else value

    return {name: tuple(same(value) for value in about) for name, about in found.items()}


def test_every_module_and_key_makes_the_same_tree(dash: Bench) -> None:
    everything(dash)
    tasks = dash.base / "roles/demo/tasks"
    (tasks / "main.yml").write_text(EVERYTHING + MORE.replace("  args: &no_args\n", ""))
    (tasks / "more.yml").write_text(
        '- copy: {content: "{{ from_import }}", dest: "{{ root }}/imported", mode: "0600"}\n'
    )
    (dash.base / "roles/demo/defaults").mkdir()
    (dash.base / "roles/demo/defaults/main.yml").write_text('default_word: "{{ base_word }}!"\nbase_word: word\n')
    compare(dash, {"hostile": "{{ 1 + 1 }} $(id) '\"\n"})


def test_expressions_and_filters_agree(dash: Bench) -> None:
    template = "".join(f"{number} [{{{{ {expression} }}}}]\n" for number, expression in enumerate(FILTERS))
    # one long text: each task costs ansible-playbook half a second
    typed = " ".join("{{ (" + expression + ") | to_json }}a{{ " + expression + " }}b" for expression in FILTERS)
    tasks = '- template: {src: filters.j2, dest: "{{ root }}/filters", mode: "0600"}\n'
    tasks += (
        json.dumps([{"copy": {"content": typed, "dest": "{{ root }}/typed", "mode": "0600"}}])
        .strip("[]")
        .join(("- ", "\n"))
    )
    dash.role(tasks, **{"templates__filters.j2": template})
    compare(
        dash,
        {
            "hostile": "{{ 7 * 6 }}",
            "data": {"list": ["a", "ü", 3], "text": "two\nlines", "deep": {"sure": True, "none": None}},
        },
    )
