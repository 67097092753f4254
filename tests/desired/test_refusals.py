"""What is outside the subset is refused before anything is sent, with the file and the line."""

from __future__ import annotations

import json

import pytest
import yaml

from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret
from tests.desired.bench import Bench

COPY = 'copy: {content: x, dest: /x, mode: "0600"}'
OUTSIDE = "outside the supported subset; see docs/roles.md"
TASKS = "roles/demo/tasks/main.yml"

CASES = {
    "module": ("- debug: {msg: x}\n- blockinfile: {path: /x}", f"{TASKS}:2: module 'blockinfile' is {OUTSIDE}"),
    "module by long name": ("- ansible.builtin.cron: {}", f"{TASKS}:1: module 'ansible.builtin.cron' is {OUTSIDE}"),
    "key": (f"- {COPY}\n  become_user: x", f"{TASKS}:2: key 'become_user' is {OUTSIDE}"),
    "block": ("- block: []", f"{TASKS}:1: key 'block' is {OUTSIDE}"),
    "two modules": (f"- {COPY}\n  debug: {{msg: x}}", "exactly one module"),
    "argument": (
        "- copy:\n    content: x\n    dest: /x\n    mode: '0600'\n    backup: true",
        f"{TASKS}:5: argument 'backup' of module 'copy'",
    ),
    "touch": ("- file: {path: /x, state: touch}", f"'state: touch' of module 'file' is {OUTSIDE}"),
    "relative path": ("- file: {path: x, state: absent}", "absolute path"),
    "the root": ("- file: {path: /, state: absent}", "absolute path"),
    "dots": ("- file: {path: /a/../b, state: absent}", "absolute path"),
    "mode as number": ("- copy: {content: x, dest: /x, mode: 0600}", "quoted octal"),
    "no mode": ("- copy: {content: x, dest: /x}", "quoted octal"),
    "bare command": ("- command: id", f"module 'command' without 'creates', 'removes' or 'changed_when' is {OUTSIDE}"),
    "inline argument": ("- command: id creates=/x", OUTSIDE),
    "expansion": ("- command: {cmd: echo $HOME, creates: /x}", OUTSIDE),
    "lineinfile without line": ("- lineinfile: {path: /x, regexp: a}", OUTSIDE),
    "python expression": ("- lineinfile: {path: /x, regexp: '(?i)a', line: a}", OUTSIDE),
    "python lazy expression": ("- lineinfile: {path: /x, regexp: 'a*?', line: a}", OUTSIDE),
    "symbolic mode": ("- copy: {content: x, dest: /x, mode: u=rw}", "quoted octal"),
    "latest": ("- apt: {name: x, state: latest}", OUTSIDE),
    "package version": ("- apt: {name: 'x=1', state: present}", "not a package name"),
    "package option": ("- apt: {name: '-o=x', state: present}", "not a package name"),
    "hostile user": ("- user: {name: '-x'}", "not a name"),
    "hostile group": ("- group: {name: 'a:b'}", "not a name"),
    "user with a line break": ('- user: {name: "a\\nb"}', "not a name"),
    "colon in a comment": ("- user: {name: a, comment: 'a:b'}", "colon"),
    "hostile unit": ("- systemd: {name: '-x', state: started}", "not a name"),
    "masked unit": ("- systemd: {name: x, state: started, masked: true}", "argument 'masked'"),
    "download that anything would do for": (
        "- get_url: {url: 'http://x', dest: /x, mode: '0600'}",
        f"module 'get_url' without 'checksum' is {OUTSIDE}",
    ),
    "list of checksums": (
        "- get_url: {url: 'http://x', dest: /x, mode: '0600', checksum: 'sha256:http://x/sums'}",
        OUTSIDE,
    ),
    "weak checksum": (f"- get_url: {{url: 'http://x', dest: /x, mode: '0600', checksum: 'md5:{'0' * 32}'}}", OUTSIDE),
    "short checksum": ("- get_url: {url: 'http://x', dest: /x, checksum: 'sha256:0'}", "sha256 has 64 hex digits"),
    "other protocol": ("- get_url: {url: 'file:///x', dest: /x}", "must begin with http"),
    "user in a URL": ("- get_url: {url: 'http://a:b@x/', dest: /x}", "name no user"),
    "blank in a URL": ("- get_url: {url: 'http://x/ -o/etc/x', dest: /x}", "without blanks"),
    "archive from here": ("- unarchive: {src: /x, dest: /y}", f"without 'remote_src: true' is {OUTSIDE}"),
    "archive from the net": ("- unarchive: {src: 'http://x/y', dest: /y, remote_src: true}", "absolute path"),
    "zip": (
        "- unarchive: {src: /x.zip, dest: /y, remote_src: true}",
        f"zip archive in module 'unarchive' is {OUTSIDE}",
    ),
    "argument where nothing runs": (
        f"- {COPY[:-1]}, backup: true}}\n  when: false",
        f"{TASKS}:1: argument 'backup' of module 'copy'",
    ),
    "argument of an import": (
        "- import_tasks: {file: more.yml, apply: {}}",
        f"argument 'apply' of module 'import_tasks' is {OUTSIDE}",
    ),
    "file from anywhere": ("- copy: {src: /etc/passwd, dest: /x, mode: '0600'}", OUTSIDE),
    "result": (
        f"- {COPY}\n  register: r\n- debug: {{msg: x}}\n  when: r.stdout == 'x'",
        f"{TASKS}:4: using a registered result",
    ),
    "undefined": ("- debug:\n    msg: '{{ nothing }}'", f"{TASKS}:2: 'nothing' is undefined"),
    "undefined inside": ("- debug: {msg: 'a {{ root.nothing }}'}", f"{TASKS}:1: "),
    "filter": ("- debug: {msg: '{{ 1 | nosuch }}'}", f"{TASKS}:1: the filter 'nosuch' is {OUTSIDE}"),
    "random": ("- debug: {msg: '{{ [1] | random }}'}", f"the filter 'random' is {OUTSIDE}"),
    "template error": ("- debug: {msg: '{{ 1 +'}", f"{TASKS}:1: "),
    "condition that is text": (f"- {COPY}\n  when: root", f"{TASKS}:2: this condition is not true or false"),
    "handler": (f"- {COPY}\n  notify: nobody", "no handler called 'nobody'"),
    "assertion": ("- assert:\n    that: 1 > 2\n    fail_msg: too small", f"{TASKS}:2: too small"),
    "not yaml": ("- a: [", f"{TASKS}:"),
    "tag": ("- debug: {msg: !vault x}", f"{TASKS}:1: the YAML tag '!vault' is {OUTSIDE}"),
    "key twice": ("- debug: {msg: x}\n  debug: {msg: y}", f"{TASKS}:2: the key 'debug' stands here twice"),
    "never": (f"- {COPY}\n  tags: [never]", f"{TASKS}:2: the tag 'never' is {OUTSIDE}"),
    "import by variable": ("- import_tasks: '{{ root }}.yml'", OUTSIDE),
    "import of nothing": ("- import_tasks: more.yml", "there is no roles/demo/tasks/more.yml"),
    "import of itself": ("- import_tasks: main.yml", "there is no"),
    "template file": ("- template: {src: no.j2, dest: /x, mode: '0600'}", f"{TASKS}:1: there is no template 'no.j2'"),
    "file outside": ("- copy: {src: ../tasks/main.yml, dest: /x, mode: '0600'}", "there is no file"),
    "loop over text": ("- debug: {msg: x}\n  loop: abc", f"{TASKS}:2: 'loop' takes a list"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_with_file_and_line(dash: Bench, case: str) -> None:
    tasks, words = CASES[case]
    dash.role(tasks)
    with pytest.raises(UsageError) as caught:
        dash.plan()
    assert words in caught.value.message
    assert caught.value.message.startswith(f"{TASKS}:")
    assert caught.value.next_step


UNDONE = {
    "packages": "- apt: {name: nginx, state: present}",
    "command": "- command: {cmd: id, creates: /x}",
    "user removed": "- user: {name: x, state: absent}",
    "group removed": "- group: {name: x, state: absent}",
}


@pytest.mark.parametrize("case", UNDONE)
def test_what_cannot_be_undone_is_refused_with_undo(dash: Bench, case: str) -> None:
    dash.role(UNDONE[case])
    dash.plan()
    with pytest.raises(UsageError, match="cannot be undone"):
        dash.plan(undo=True)


SPECS = """
argument_specs:
  main:
    options:
      port: {type: int, required: true}
      kind: {type: str, choices: [a, b]}
      list: {type: list, elements: int}
      inner: {type: dict, options: {x: {type: bool, required: true}}}
"""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "role 'demo' needs the variable 'port'"),
        ({"port": "many"}, "'port' must be of type int"),
        ({"port": 1, "kind": "c"}, "'kind' must be one of a, b"),
        ({"port": 1, "list": "x"}, "'list' must be of type list"),
        ({"port": 1, "list": [1, "x"]}, "'list[1]' must be of type int"),
        ({"port": 1, "inner": {}}, "'inner.x' is required"),
        ({"port": 1, "inner": {"x": "maybe"}}, "'inner.x' must be of type bool"),
        ({"port": 1, "inner": {"x": True, "y": 1}}, "'inner.y' is not a known option"),
    ],
)
def test_argument_specs_are_checked(dash: Bench, variables: dict[str, object], words: str) -> None:
    dash.role("- debug: {msg: x}", meta__argument_specs=SPECS)
    with pytest.raises(UsageError) as caught:
        dash.plan(variables)
    assert words in caught.value.message
    assert caught.value.message.startswith("roles/demo/meta/argument_specs.yml:")


def test_roles_that_need_each_other_are_refused(dash: Bench) -> None:
    dash.role("- debug: {msg: x}", name="one", meta__main="dependencies: [two]")
    dash.role("- debug: {msg: x}", name="two", meta__main="dependencies: [{role: one}]")
    with pytest.raises(UsageError, match="one -> two -> one need each other"):
        dash.plan({}, "one")


def test_a_variable_that_means_itself_is_refused(dash: Bench) -> None:
    dash.role("- debug: {msg: '{{ a }}'}", defaults__main="a: '{{ b }}'\nb: '{{ a }}'")
    with pytest.raises(UsageError, match="refers to itself"):
        dash.plan()


def test_a_secret_in_an_argument_list_is_refused(dash: Bench) -> None:
    dash.role("- command: {cmd: 'wg set {{ key }}', creates: /x}")
    with pytest.raises(UsageError, match="ps") as caught:
        dash.plan({"key": Secret("hunter" + "2")})
    assert "hunter" not in caught.value.message


def test_an_unknown_role_is_named(dash: Bench) -> None:
    dash.role("- debug: {msg: x}")
    with pytest.raises(UsageError, match="there is no role 'other'"):
        dash.plan({}, "other")


NAMED = {
    "user": {"name": "NAME"},
    "user's group": {"name": "x", "group": "NAME"},
    "user's groups": {"name": "x", "groups": ["games", "NAME"]},
    "group": {"name": "NAME"},
    "apt": {"name": ["NAME"]},
    "package": {"name": "NAME"},
    "systemd_service": {"name": "NAME", "state": "started"},
    "systemd": {"unit": "NAME", "enabled": True},
    "service": {"name": "NAME", "state": "started"},
    "copy": {"content": "", "dest": "/x", "mode": "0600", "owner": "NAME"},
    "template": {"src": "t.j2", "dest": "/x", "mode": "0600", "group": "NAME"},
    "file": {"path": "/x", "state": "directory", "mode": "0700", "owner": "NAME"},
    "lineinfile": {"path": "/x", "regexp": "x", "line": "x", "group": "NAME"},
    "get_url": {"url": "http://x/NAME", "dest": "/x", "mode": "0600", "checksum": f"sha256:{'0' * 64}"},
    "get_url's owner": {
        "url": "http://x/",
        "dest": "/x",
        "mode": "0600",
        "checksum": f"sha256:{'0' * 64}",
        "owner": "NAME",
    },
    "unarchive": {"src": "/x", "dest": "/y", "remote_src": True, "group": "NAME"},
}
"""Names that the host restricts anyway; what may stand in a path is tests/desired/test_apply.py's."""


@pytest.mark.parametrize("name", ["it's", "a\nb", "$(touch /tmp/pwned)", "-rf", "a b", "a;b", "*", "", "a\0b"])
@pytest.mark.parametrize("case", NAMED)
def test_a_hostile_name_is_refused_where_the_host_has_rules_for_names(dash: Bench, case: str, name: str) -> None:
    if case == "get_url" and name in ("it's", "$(touch /tmp/pwned)", "-rf", "a;b", "*", ""):
        name = f"{name} {name}"  # all of these may stand in a URL, which is one quoted word; a blank may not
    given = json.loads(json.dumps(NAMED[case]).replace("NAME", "{{ name }}"))
    dash.role(yaml.safe_dump([{case.split("'")[0]: given}]), templates__t="")
    (dash.base / "roles/demo/templates/t").rename(dash.base / "roles/demo/templates/t.j2")
    with pytest.raises(UsageError) as caught:
        dash.plan({"name": name})
    assert caught.value.code == "role.argument"
    assert caught.value.message.startswith(f"{TASKS}:")
