"""The commands of the original's README, word for word, typed into a shell: the owner's on the device, the admin's here."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.cli import paths
from support_tunnel.core.names import parse_tunnel_id
from support_tunnel.core.ports import Completed
from support_tunnel.core.waiting import wait_for
from tests.onebox.crew import PATIENCE, Crew
from tests.onebox.window import window

pytestmark = pytest.mark.onebox

PROGRAMS = Path(sys.executable).parent
IN_THE_CHECKOUT = f"cd {shlex.quote(str(paths.REPOSITORY))}; PATH={shlex.quote(str(PROGRAMS))}:$PATH; export PATH PYTHONDONTWRITEBYTECODE=1"

SAID = "/dev/shm/said"  # noqa: S108 - in a node of this test
"""What the tool writes to stdout, as a program has it that started it; the screen has the rest."""


def on_device(people: Crew, line: str) -> Completed:
    return processes.run([*people.on.device.ssh, f"{IN_THE_CHECKOUT}; {line}"], timeout=PATIENCE, accept=None)


def here(people: Crew, line: str, **variables: str) -> Completed:
    """A line of the admin's shell, `$NAME`s included."""
    env = {"SUPPORT_TUNNEL_INVENTORY": str(people.inventory), **variables}
    return processes.run(["sh", "-c", f"{IN_THE_CHECKOUT}; {line}"], timeout=PATIENCE, accept=None, env=env)


def value(lines: str, name: str) -> str:
    """As the programs read it that were written for the original: the rest of the one line that begins so."""
    (found,) = re.findall(rf"^{name}: (\S+)$", lines, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize(
    ("line", "tasks"),
    [
        ("inv --list", {"request-and-connect-tunnel", "status", "stop"}),
        ("fab --list", {"create-tunnel-server", "get", "stop", "connect"}),
    ],
)
def test_the_tasks_are_listed_in_a_node(people: Crew, line: str, tasks: set[str]) -> None:
    listed = on_device(people, line)
    assert listed.status == 0, listed.stderr
    assert tasks <= {words[0] for words in map(str.split, listed.stdout.splitlines()) if words}
    assert listed.stderr == ""


def test_a_session_by_the_original_commands(people: Crew) -> None:
    line = f"{IN_THE_CHECKOUT}; inv request-and-connect-tunnel | tee {SAID}"
    with window([*people.on.device.ssh, "-tt", line]) as screen:
        screen.sees("preshared_key: ")
        screen.sees("\n")
        # On the screen first, and then in the file.
        said = wait_for(
            lambda: text if (text := people.device(f"cat {SAID}")).count("\n") >= 2 else None,
            what="both lines",
            seconds=PATIENCE,
            clock=SystemClock(),
        )
        people.device(f"rm {SAID}")
        key = {"TUNNEL_ID": value(said, "tunnel_id"), "PRESHARED_KEY": value(said, "preshared_key")}
        wrong = here(people, "fab create-tunnel-server -p $PRESHARED_KEY -t " + "0" * 32, **key)
        assert (wrong.status, "Error (code.mismatch)" in wrong.stderr) == (2, True)

        # The owner reads the digits off the admin's screen as soon as they are there.
        admin = "fab create-tunnel-server -p $PRESHARED_KEY -t $TUNNEL_ID"
        with window(["env", *(f"{name}={text}" for name, text in key.items()), *_shell(people, admin)]) as helper:
            helper.sees("others on this machine can see a code")
            helper.sees("Read these digits to the owner: ")
            digits = helper.sees("\n").strip()
            screen.sees("Six digits")
            screen.types(f"{digits}\n")
            screen.sees("Let them in?")
            screen.types("yes\n")
            screen.sees("connected: ")
            assert screen.end() == 0
            assert helper.end() == 0, helper.screen
    shown = here(people, "fab get $TUNNEL_ID", **key)
    assert shown.status == 0, shown.stderr
    assert key["TUNNEL_ID"] in shown.stdout
    assert key["PRESHARED_KEY"] not in shown.stdout + shown.stderr
    stopped = here(people, "fab stop $TUNNEL_ID", **key)
    assert stopped.status == 0, stopped.stderr
    people.closed()
    assert people.left(parse_tunnel_id(key["TUNNEL_ID"])) == []


def _shell(people: Crew, line: str) -> list[str]:
    return [f"SUPPORT_TUNNEL_INVENTORY={people.inventory}", "sh", "-c", f"{IN_THE_CHECKOUT}; {line}"]
