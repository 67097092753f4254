"""The admin's further verbs on real hosts: a broken-off answer goes on; files and ports as far as the owner offered them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.cli.rehearsal.stage import invoke_on_device
from support_tunnel.core.ports import Completed
from support_tunnel.core.st1.code import Code
from tests.onebox.crew import PATIENCE, Crew, last_json
from tests.onebox.killing import ANSWER, REQUEST, Kill

pytestmark = pytest.mark.onebox


# --- resume ---------------------------------------------------------------------------------------------------------


@contextmanager
def answered_by(people: Crew, kill: Kill, calls: Path) -> Iterator[tuple[Code, Completed]]:
    """A request, and how the tool ended that was killed while it answered; the owner waits on, and is connected at last."""
    with processes.streaming([*people.on.device.ssh, invoke_on_device(*REQUEST)]) as owner:
        code = Code.parse(json.loads(owner.line())["preshared_key"])
        words = [*people.fab_words()[:-1], *kill.words(str(calls), "fab", *ANSWER, "-")]
        yield code, processes.run(words, stdin=code.text().reveal().encode(), timeout=PATIENCE, accept=None)
        ended = owner.end(timeout=PATIENCE)
        assert last_json(ended.stdout)["event"] == "connected", ended.stderr


def works_and_ends(people: Crew, code: Code) -> None:
    short = code.tunnel[:8]
    assert people.fab("command", short, "id -un").stdout.strip() == f"st{short}"
    assert people.fab("stop", short).status == 0
    people.closed()
    assert people.left(code.tunnel) == []


def test_an_answer_that_was_broken_off_goes_on(trusting: Crew, tmp_path: Path) -> None:
    people, undisturbed, killed = trusting, tmp_path / "undisturbed", tmp_path / "killed"
    with answered_by(people, Kill(), undisturbed) as (code, ended):
        assert ended.status == 0, ended.stderr
        assert people.fab("resume", code.tunnel[:8]).status == 4, "it is connected"
    works_and_ends(people, code)

    calls = undisturbed.read_text().split()
    with answered_by(people, Kill(calls.index("mailbox.post") + 1, "after"), killed) as (code, ended):
        assert ended.status == -9
        assert killed.read_text().split()[-1] == "mailbox.post"
        again = people.fab("resume", "--json", code.tunnel[:8])
        assert again.status == 0, again.stderr
        assert last_json(again.stdout)["tunnel_id"] == code.tunnel
    works_and_ends(people, code)
