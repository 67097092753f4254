"""The owner's scripts, really run: as argument lists, with their variables, in time, and only if root alone can change them."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.hook_scripts import SECONDS, HookScripts
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.hooks import HookCommand, HookContext
from support_tunnel.core.names import TunnelId
from support_tunnel.core.waiting import wait_for

CONTEXT = HookContext(TunnelId(secrets.token_hex(16)), "st-abababab", "fd00::2", "fd00::/64", "stabababab")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root's own scripts are run; this needs root")

Script = Callable[[str], Path]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below /tmp, which everybody can write: a script there is refused."""
    made = Path(tempfile.mkdtemp(prefix="support-tunnel-hooks-", dir="/var/lib"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def script(folder: Path) -> Script:
    def write(text: str) -> Path:
        file = folder / "hook"
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        return file

    return write


def hooks(command: object, seconds: int = 20) -> HookScripts:
    return HookScripts({"pre-up": HookCommand.parse(str(command))}, seconds={**SECONDS, "pre-up": seconds})


def test_it_is_told_by_argument_and_by_environment(script: Script) -> None:
    program = script(
        'printf "%s|" "$#" "$@" "$SUPPORT_TUNNEL_ID" "$SUPPORT_TUNNEL_IP" "$SUPPORT_TUNNEL_NET"; echo; id -u'
    )
    ran = hooks(f"{program} {{iface}} '{{user}} $(id) *'").run("pre-up", CONTEXT)
    assert ran is not None
    assert ran.status == 0
    assert ran.output == f"2|st-abababab|stabababab $(id) *|{CONTEXT.tunnel}|fd00::2|fd00::/64|\n0"


def test_none_is_set(script: Script) -> None:
    assert hooks(script("true")).run("post-up", CONTEXT) is None


def test_its_status_and_its_last_words_are_kept(script: Script) -> None:
    ran = hooks(script("yes | head -n 9999; echo why >&2; exit 7")).run("pre-up", CONTEXT)
    assert ran is not None
    assert (ran.status, ran.output[-4:], len(ran.output)) == (7, "\nwhy", 400)


@pytest.mark.parametrize("text", ["sleep 1000", "trap '' TERM; while :; do sleep 1; done", "sleep 1000 & wait"])
def test_one_that_does_not_end_is_ended_with_all_it_started(script: Script, folder: Path, text: str) -> None:
    with pytest.raises(HostError) as failed:
        hooks(script(f"cut -d' ' -f5 /proc/$$/stat > {folder}/group\n{text}"), seconds=1).run("pre-up", CONTEXT)
    assert failed.value.code == "hook.timeout"
    group = int((folder / "group").read_text())
    assert group != os.getpgrp()
    wait_for(lambda: True if is_empty(group) else None, what="the end of all of them", seconds=20, clock=SystemClock())


def is_empty(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def refusal(program: Path) -> str:
    with pytest.raises(UsageError) as checked:
        hooks(program).check()
    with pytest.raises(UsageError) as refused:
        hooks(program).run("pre-up", CONTEXT)
    assert checked.value.code == refused.value.code
    return refused.value.code


def test_one_that_others_can_change_is_not_run(script: Script, folder: Path) -> None:
    program = script(f"touch {folder}/ran")
    hooks(program).check()
    for mode, code in ((0o775, "hook.mode"), (0o757, "hook.mode"), (0o644, "hook.program")):
        program.chmod(mode)
        assert refusal(program) == code
    program.chmod(0o755)
    os.chown(program, 65534, 0)
    assert refusal(program) == "hook.owner"
    os.chown(program, 0, 0)
    folder.chmod(0o777)  # whoever can write the folder can put another file in its place
    assert refusal(program) == "hook.mode"
    folder.chmod(0o700)
    assert not (folder / "ran").exists()
    hooks(program).run("pre-up", CONTEXT)
    assert (folder / "ran").exists()


def test_one_that_is_no_plain_file_of_its_own_is_not_run(script: Script, folder: Path) -> None:
    link = folder / "link"
    link.symlink_to(script("true"))
    assert refusal(link) == "hook.link"
    assert refusal(folder / "nothing") == "hook.missing"
    assert refusal(folder) == "hook.program"
