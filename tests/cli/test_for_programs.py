"""What docs/admin.md promises to programs: the keys of each verb."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields

import pytest
from invoke.exceptions import Exit

from support_tunnel.cli import paths
from support_tunnel.cli.admin import reach_tasks, tunnel_tasks, view_tasks
from support_tunnel.cli.admin import tasks as admin_tasks
from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.core.ports import Completed
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.code import Code
from support_tunnel.flows.admin.create_server import Terms
from support_tunnel.testing.hosts import FakeDoor
from tests.flows.conftest import make_world
from tests.flows.test_reach import connected
from tests.flows.world import World

__all__ = ["make_world"]

ADMIN_PAGE = (paths.REPOSITORY / "docs" / "admin.md").read_text()


def promised() -> dict[str, set[str]]:
    """By verb: the keys of the table."""
    rows = re.findall(r"^\| `([a-z.-]+)` \| (.*?) \|", ADMIN_PAGE, re.MULTILINE)
    keys = {verb: set(re.findall(r"`([a-z_]+)`", re.sub(r"\([^)]*\)", "", cell))) for verb, cell in rows}
    return {**keys, "resume": keys["create-tunnel-server"], "tunnel.create": keys["create-tunnel-server"]}


def keys_of(said: str) -> set[str]:
    """Of all lines; an object in a list counts as itself."""
    found: set[str] = set()
    for text in said.splitlines():
        value = json.loads(text)
        for one in value if isinstance(value, list) else [value]:
            found |= one.keys()
    return found


@pytest.fixture
def world(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """One connected tunnel with everything offered, and the verbs wired to it."""
    made = make_world()
    made.door = FakeDoor(Completed(0, "out", ""))
    connected(made, Scope("shell", ports=(80,), files=True))
    monkeypatch.setattr("support_tunnel.cli.admin.wiring.admin_ports", lambda *_, **__: made.admin_ports())
    monkeypatch.setattr("support_tunnel.cli.admin.rehearsal.stage.remove_dead", list)
    return made


VERBS: dict[str, Callable[[str], None]] = {
    "list": lambda t: view_tasks.list_.body(None, json=True),
    "get": lambda t: view_tasks.get.body(None, t, json=True),
    "command": lambda t: reach_tasks.command.body(None, t, "true", json=True),
    "put": lambda t: reach_tasks.put.body(None, t, "a", json=True),
    "fetch": lambda t: reach_tasks.fetch.body(None, t, "a", json=True),
    "forward": lambda t: reach_tasks.forward.body(None, t, "80", json=True),
    "tunnel.list": lambda t: tunnel_tasks.list_.body(None, json=True),
    "tunnel.status": lambda t: tunnel_tasks.status.body(None, t, json=True),
    "tunnel.close": lambda t: tunnel_tasks.close.body(None, t, json=True),
    "sweep": lambda t: admin_tasks.sweep.body(None, json=True),
    "stop": lambda t: admin_tasks.stop.body(None, t, json=True),
}
ELSEWHERE = {
    "create-tunnel-server": "tests/onebox: the digits and `connected`",
    "doctor": "tests/cli/test_admin_doctor.py",
    "headscale-status": "tests/headscale/test_standing_verbs.py",
    "tunnel.create": "as create-tunnel-server, one function does both",
    "resume": "as create-tunnel-server, one function writes both",
    "rehearse": "tests/onebox/test_rehearsal.py",
    "settings": "below: its keys are the settings",
}


def test_every_verb_of_the_table_is_run_by_somebody() -> None:
    assert promised().keys() == VERBS.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_keeps_its_promise(world: World, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    VERBS[verb](world.tunnel[:8])
    assert keys_of(capsys.readouterr().out) == promised()[verb]


def test_the_settings_are_all_there(capsys: pytest.CaptureFixture[str]) -> None:
    view_tasks.settings.body(None, json=True)
    said = json.loads(capsys.readouterr().out)
    assert said.keys() == {one.name for one in fields(AdminSettings)}
    assert (
        {frozenset(row) for row in said.values()}
        == {frozenset({"value", "from"})}
        == {frozenset(promised()["settings"])}
    )


def test_a_failure_is_a_line_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit) as ended:
        view_tasks.get.body(None, "0000", json=True)
    assert ended.value.code == 4
    assert json.loads(capsys.readouterr().out)["error"].keys() == {"code", "message", "next_step"}


@pytest.mark.parametrize(("given", "seconds"), [({}, 1800), ({"wait": 90}, 5400)])
def test_wait_is_how_long_the_owner_has(
    world: World, monkeypatch: pytest.MonkeyPatch, given: dict[str, int], seconds: int
) -> None:
    asked: list[Terms] = []

    def create(_ports: object, _code: object, terms: Terms, **_: object) -> None:
        asked.append(terms)
        raise KeyboardInterrupt

    monkeypatch.setattr("support_tunnel.flows.admin.create_server.create_server", create)
    monkeypatch.setenv("CODE", Code.generate().text().reveal())
    with pytest.raises(Exit):
        admin_tasks.create_tunnel_server.body(None, helper=[], port=[], preshared_key="env:CODE", **given)
    assert [terms.patience for terms in asked] == [seconds]
