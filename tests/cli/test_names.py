"""Every name of the first support-tunnel works, with its arguments as they were; docs/original.md is held to the code.

Command lines go through Invoke's own parser over our collections, so a flag or a positional that is gone is noticed.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.parser import Parser

from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.cli import paths
from support_tunnel.cli.admin import tasks as admin_tasks
from support_tunnel.cli.admin.settings import OLD_TOKEN, AdminSettings
from support_tunnel.cli.device import settings as device_settings
from support_tunnel.cli.device import tasks as device_tasks
from support_tunnel.cli.verb_task import A_CLOUD, LETTERS, LIKE_AN_ID, gives

PAGE = (paths.REPOSITORY / "docs" / "original.md").read_text()
SIDES = {"inv": device_tasks.namespace, "fab": admin_tasks.namespace}
ID = "1a2b3c4d"


def parsed(line: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Mapping[str, Any]]:
    """The task that a command line runs, and what it is given."""
    program, *words = shlex.split(line)
    monkeypatch.setattr(sys, "argv", [program, *words])
    (context,) = Parser(contexts=SIDES[program]().to_contexts()).parse_argv(words)
    return str(context.name), {argument.name: argument.value for argument in context.args.values()}


ORIGINAL: dict[str, tuple[str, dict[str, object]]] = {
    "inv request-and-connect-tunnel": ("request-and-connect-tunnel", {}),
    "inv request-and-connect": ("request-and-connect-tunnel", {}),
    "inv request": ("request", {}),
    f"inv connect {ID}": ("connect", {"tunnel": ID}),
    f"inv stop {ID}": ("stop", {"tunnel": ID}),
    "inv connect-approved-tunnels": ("connect-approved-tunnels", {}),
    "inv list-all-tunnels": ("list-all-tunnels", {}),
    "inv list-running-tunnels": ("list-running-tunnels", {}),
    "inv detail-all-tunnels": ("detail-all-tunnels", {}),
    "inv gc": ("gc", {}),
    f"fab create-tunnel-server -p CODE -t {ID}": (
        "create-tunnel-server",
        {"preshared_key": "CODE", "tunnel_id": ID},
    ),
    "fab create": ("create-tunnel-server", {}),
    f"fab create -t {ID} -p CODE": ("create-tunnel-server", {"preshared_key": "CODE", "tunnel_id": ID}),
    f"fab get {ID}": ("get", {"tunnel_id": ID}),
    f"fab show {ID}": ("get", {"tunnel_id": ID}),
    "fab list": ("list", {}),
    f"fab connect {ID}": ("connect", {"tunnel_id": ID}),
    f"fab command {ID} 'uptime -p'": ("command", {"tunnel_id": ID, "command_line": "uptime -p"}),
    f"fab stop {ID}": ("stop", {"tunnel_id": ID}),
    "fab gc": ("sweep", {}),
}


@pytest.mark.parametrize("line", ORIGINAL)
def test_a_name_of_the_original(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    task, given = parsed(line, monkeypatch)
    wanted, arguments = ORIGINAL[line]
    assert task == wanted
    assert {name: given[name] for name in arguments} == arguments


@pytest.mark.parametrize(
    ("line", "tunnel"),
    [
        ("inv stop", ""),
        ("inv stop --json", ""),
        (f"inv stop --json {ID}", ID),
        (f"inv stop {ID} --json", ID),
        (f"inv stop --tunnel {ID}", ID),
        (f"inv stop --tunnel={ID}", ID),
        ("inv stop 1A2B-3c", "1A2B-3c"),
    ],
)
def test_an_id_may_stand_alone_or_be_left_out(monkeypatch: pytest.MonkeyPatch, line: str, tunnel: str) -> None:
    task, given = parsed(line, monkeypatch)
    assert (task, given["tunnel"]) == ("stop", tunnel)


@pytest.mark.parametrize("verb", ["approve", "connect"])
@pytest.mark.parametrize(
    ("words", "tunnel"), [("", ""), ("--json", ""), (ID, ID), (f"--json {ID}", ID), (f"{ID} --json", ID)]
)
def test_who_goes_on_with_a_request_need_not_name_it(
    monkeypatch: pytest.MonkeyPatch, verb: str, words: str, tunnel: str
) -> None:
    task, given = parsed(f"inv {verb} {words}", monkeypatch)
    assert (task, given["tunnel"]) == (verb, tunnel)


@pytest.mark.parametrize("words", ["--wait 5", f"--wait 5 {ID}", f"{ID} --wait 5", f"--wait=5 {ID}"])
def test_the_value_of_a_flag_is_no_id(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    _, given = parsed(f"inv connect {words}", monkeypatch)
    assert (given["tunnel"], given["wait"]) == (ID if ID in words else "", 5)


@pytest.mark.parametrize("words", ["", "stop gc", "gc stop", "stop -j gc", f"gc {ID}", "--list"])
def test_what_is_no_id_is_another_task(words: str) -> None:
    assert not gives(LIKE_AN_ID, ["inv", *words.split()], ["stop"])


@pytest.mark.parametrize(
    ("line", "cloud"),
    [
        ("fab doctor", ""),
        ("fab doctor ec2", "ec2"),
        ("fab doctor --json gce", "gce"),
        ("fab doctor hetzner --json", "hetzner"),
        ("fab doctor --cloud mars", "mars"),
    ],
)
def test_a_cloud_may_stand_alone_or_be_left_out(monkeypatch: pytest.MonkeyPatch, line: str, cloud: str) -> None:
    task, given = parsed(line, monkeypatch)
    assert (task, given["cloud"]) == ("doctor", cloud)


@pytest.mark.parametrize("words", ["doctor list", "doctor", "ec2 doctor", "list ec2"])
def test_what_is_no_cloud_is_another_task(words: str) -> None:
    assert not gives(A_CLOUD, ["fab", *words.split()], ["doctor"])


def every_name(collection: Collection) -> set[str]:
    return {str(name) for context in collection.to_contexts() for name in (context.name, *context.aliases)}


def test_no_task_is_called_like_an_id() -> None:
    names = every_name(device_tasks.namespace())
    assert {"stop", "request-and-connect"} < names
    assert not [name for name in names if LIKE_AN_ID.fullmatch(name)]


def test_every_cloud_may_stand_alone_and_no_task_is_called_like_one() -> None:
    assert set(A_CLOUD.pattern.split("|")) == set(CLOUDS)
    assert not [name for name in every_name(admin_tasks.namespace()) if A_CLOUD.fullmatch(name)]


@pytest.mark.parametrize("side", SIDES)
def test_a_letter_means_the_same_everywhere_and_no_risk_has_one(side: str) -> None:
    for context in SIDES[side]().to_contexts():
        flags = {flag for flag in context.flags if flag.startswith("-")}
        assert [flag for flag in flags if not re.fullmatch(r"--[a-z][a-z0-9-]+|-[a-zA-Z]", flag)] == [], context.name
        for argument in context.args.values():
            letters = [name for name in argument.names if len(name) == 1 and argument.names != ("H",)]
            known = LETTERS.get(argument.names[0].replace("-", "_"))
            assert letters == ([known] if known else []), f"{context.name} {argument.names}"


# --- the page -------------------------------------------------------------------------------------------------------


def rows() -> list[tuple[str, str]]:
    """Row ids and our column."""
    split = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| M-")]
    return [(cells[0], cells[2]) for cells in split]


def ours() -> str:
    return "\n".join(here for _, here in rows())


def test_every_row_is_there() -> None:
    named = {number for row, _ in rows() for number in re.findall(r"M-(\d+)", row)}
    assert named == {f"{number:02}" for number in range(1, 40)}


COMMANDS = sorted(set(re.findall(r"`((?:inv|fab) [a-z][^`]+)`", ours())))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_is_one(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    task, _ = parsed(line, monkeypatch)
    assert task


def test_every_setting_that_the_page_names_is_one() -> None:
    device = {f"SUPPORT_TUNNEL_{key.replace('-', '_').upper()}" for key in device_settings._TOLD}
    admin = {f"SUPPORT_TUNNEL_{one.name.upper()}" for one in fields(AdminSettings)} | {"SUPPORT_TUNNEL_INVENTORY"}
    named = set(re.findall(r"`(SUPPORT_TUNNEL_[A-Z_]+)`", ours()))
    assert {"SUPPORT_TUNNEL_API", "SUPPORT_TUNNEL_DEBUG"} < named
    assert named <= device | admin
    assert f"`{OLD_TOKEN}`" in ours()
    (file,) = [line for line in PAGE.splitlines() if line.startswith("| M-31")]
    keys = set(re.findall(r"`([a-z-]+)`", file))
    assert keys == set(device_settings._KEYS), "docs/original.md, row M-31: name every key of config.ini"
