"""The text that is sent, against a golden file: a change of the compiler shows as a change of this text.

After a wanted change: `GOLDEN_UPDATE=1 python -m pytest tests/desired/test_script.py`, and read the difference.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.desired import compile_roles
from support_tunnel.desired.modules.lineinfile import extended
from support_tunnel.desired.shell import body, call, comment
from tests.desired.bench import Bench

GOLDEN = Path(__file__).parent / "golden.sh"
ROLE = """
- group: {name: st0a1b2c3d, system: true}
- user: {name: st0a1b2c3d, group: st0a1b2c3d, system: true, password: "*", shell: /bin/sh, create_home: false}
- file: {path: /etc/x y, state: directory, mode: "0750", owner: root, group: adm}
- template: {src: t.j2, dest: "/etc/x y/t", mode: "0600"}
  register: text
  notify: Restart it
- lineinfile: {path: /etc/conf, regexp: '^#?Port\\s', line: Port 22}
  when: text is changed
- file: {path: /etc/l, src: /etc/conf, state: link}
- file: {path: /etc/gone, state: absent}
- systemd_service: {name: it.service, enabled: true, state: started, daemon_reload: true}
- command: {cmd: "true", stdin: words}
  changed_when: false
"""
HANDLERS = "- name: Restart it\n  systemd_service: {name: it.service, state: restarted}\n"


def test_the_compiled_text_is_the_golden_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [])
    bench.role(ROLE, handlers__main=HANDLERS, **{"templates__t.j2": "hello {{ who }}\n"})
    plan = compile_roles(
        tmp_path / "roles", ["demo"], {"who": "you"}, templates=tmp_path, undo="/run/support_tunnel/undo/x", diff=True
    )
    text = plan.script.reveal()
    found = text[text.index("\nst_begin\n") :]
    if os.environ.get("GOLDEN_UPDATE"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


@given(st.text().filter(lambda text: "\0" not in text))
def test_every_word_is_one_word(text: str) -> None:
    assert shlex.split(call("printf", text).text) == ["printf", text]


@given(st.text())
def test_a_comment_is_one_line(text: str) -> None:
    assert len(comment(text).text.splitlines()) == 1


@given(st.binary())
def test_a_body_has_no_character_that_a_shell_reads(data: bytes) -> None:
    assert set(body(data).text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=%| -'")


@pytest.mark.parametrize(
    ("pattern", "translated"),
    [
        (r"^#?\s*Port", "^#?[[:space:]]*Port"),
        (r"a\.b(c|d)+x{2,3}[^a-z]$", r"a\.b(c|d)+x{2,3}[^a-z]$"),
        (r"\bword", None),
        ("(?:x)", None),
        ("a+?", None),
        (r"[\s]", None),
        ("(", None),
        ("*a", None),
        (r"(a)\1", None),
    ],
)
def test_expressions_are_translated_or_refused(pattern: str, translated: str | None) -> None:
    assert extended(pattern) == translated
