"""Fault wiring: every call counted, each fault at its place, and a kill that is a real SIGKILL in a real fab run."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import PIPE

import pytest

import support_tunnel
from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.ledger_disk import DiskLedger
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Completed, LedgerEntry
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.faults import Fault, FaultWiring, Side, hanging, raising
from support_tunnel.testing.people import RecordedProgress
from support_tunnel.testing.records import MemoryLedger
from support_tunnel.testing.shells import ScriptedShell

TUNNEL = TunnelId("ab" * 16)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ENTRY = LedgerEntry(TUNNEL, "local", "intended", NOW, NOW + timedelta(hours=1))
CALLS = ["ledger.write", "shell.run_script", "ledger.remove"]


def job(wiring: FaultWiring, ledger: MemoryLedger, shell: ScriptedShell, clock: ManualClock) -> None:
    """Stand in for a flow: two ports, three effects, polls and clock readings between them."""
    wrapped_ledger, wrapped_shell = wiring.wrap("ledger", ledger), wiring.wrap("shell", shell)
    wrapped_clock, progress = wiring.wrap("clock", clock), wiring.wrap("progress", RecordedProgress())
    wrapped_ledger.write(ENTRY)
    progress.step("wait")
    for _ in range(3):
        wrapped_shell.run_script(Secret("poll"), timeout=1)
        wrapped_clock.pause(1)
    wrapped_ledger.remove(TUNNEL)


def test_calls_are_counted_in_order_polling_once_and_clocks_not_at_all(tmp_path: Path) -> None:
    wiring = FaultWiring(record=tmp_path / "calls")
    job(wiring, MemoryLedger(), ScriptedShell(), ManualClock())
    assert wiring.calls == CALLS
    assert (tmp_path / "calls").read_text().splitlines() == CALLS


@pytest.mark.parametrize("number", range(1, len(CALLS) + 1))
@pytest.mark.parametrize("side", ["before", "after"])
def test_each_call_can_fail_before_and_after_its_effect(number: int, side: Side) -> None:
    ledger, shell = MemoryLedger(), ScriptedShell()
    wiring = FaultWiring(Fault(number, side, raising(HostError("host.lost", "cut"))))
    with pytest.raises(HostError, match="cut"):
        job(wiring, ledger, shell, ManualClock())
    effects = number if side == "after" else number - 1
    assert wiring.calls == CALLS[:number]
    assert bool(ledger.entries()) == (effects in {1, 2})
    assert bool(shell.scripts) == (effects >= 2)


def test_a_call_can_hang_in_the_runs_own_time() -> None:
    clock = ManualClock()
    job(FaultWiring(Fault(2, "before", hanging(clock, 3600))), MemoryLedger(), ScriptedShell(), clock)
    assert clock.monotonic() == 3603


def test_looks_into_a_mailbox_in_a_row_are_one_call() -> None:
    class Mailbox:
        def messages(self, *, after: int) -> None:
            """Nothing new."""

    wiring = FaultWiring()
    mailbox = wiring.wrap("mailbox", Mailbox())
    for after in (0, 2, 2, 3):
        mailbox.messages(after=after)
    assert wiring.calls == ["mailbox.messages"]


def test_a_lasting_fault_meets_every_later_call_too() -> None:
    ledger, wiring = (
        MemoryLedger(),
        FaultWiring(Fault(1, "after", raising(HostError("host.lost", "cut")), lasting=True)),
    )
    wrapped = wiring.wrap("ledger", ledger)
    for _ in range(2):
        with pytest.raises(HostError, match="cut"):
            wrapped.write(ENTRY)
    with pytest.raises(HostError, match="cut"):
        wrapped.remove(TUNNEL)
    assert wiring.struck
    assert ledger.entries() == [ENTRY]


def test_a_number_beyond_the_last_call_does_nothing_and_shows_in_the_list() -> None:
    wiring = FaultWiring(Fault(4, "before", raising(HostError("host.lost", "cut"))))
    job(wiring, MemoryLedger(), ScriptedShell(), ManualClock())
    assert len(wiring.calls) < 4


def test_answers_and_plain_attributes_pass_through() -> None:
    shell = ScriptedShell()
    wrapped = FaultWiring().wrap("shell", shell)
    assert wrapped.run_script(Secret("x"), timeout=1) == Completed(0, "", "")
    assert wrapped.scripts is shell.scripts


def test_the_shell_that_a_connector_returns_is_a_port_too() -> None:
    class Connector:
        def connect(self, address: str) -> ScriptedShell:
            return ScriptedShell()

    wiring = FaultWiring()
    wiring.wrap("connector", Connector()).connect("192.0.2.1").run_script(Secret("x"), timeout=1)
    assert wiring.calls == ["connector.connect", "server.run_script"]


TASKS = """
import os, signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from invoke import Exit, task
from support_tunnel.adapters.ledger_disk import DiskLedger
from support_tunnel.cli.boundary import verb
from support_tunnel.cli.wiring import wrapped
from support_tunnel.core.ports import LedgerEntry

@verb()
def tidy(context, folder, twice=False):
    '''Write, and take it back however it ends; `twice`: the window hangs up again, and a service manager follows.'''
    ledger = wrapped("ledger", DiskLedger(Path(folder)))
    now = datetime(2030, 1, 1, tzinfo=UTC)
    try:
        ledger.write(LedgerEntry("ab" * 16, "local", "intended", now, now + timedelta(hours=1)))
        ledger.write(LedgerEntry("ab" * 16, "local", "launched", now, now + timedelta(hours=1)))
    finally:
        print("taking it back", flush=True)
        for number in (signal.SIGHUP, signal.SIGTERM) if twice else ():
            os.kill(os.getpid(), number)
        ledger.remove("ab" * 16)
        print("taken back", flush=True)

@task
def write(context, folder):
    ledger = wrapped("ledger", DiskLedger(Path(folder)))
    now = datetime(2030, 1, 1, tzinfo=UTC)
    for stage in ("intended", "launched", "answered"):
        ledger.write(LedgerEntry("ab" * 16, "local", stage, now, now + timedelta(hours=1)))
    raise Exit("done", code=5)
"""


ROOT = str(Path(support_tunnel.__path__[0]).parent)


def words(folder: Path, program: str, task: str, number: int, side: str, deed: str) -> list[str]:
    """The command line that strikes one of the tasks above."""
    (folder / f"{'fabfile' if program == 'fab' else 'tasks'}.py").write_text(TASKS)
    struck = [str(number), side, "--deed", deed, "--calls", str(folder / "calls"), "--", program, task]
    # A shell starts what runs in the background with SIGINT ignored, these tests too.
    python = ["env", "--default-signal=INT", sys.executable]
    return [*python, "-m", "support_tunnel.testing.killed_at", *struck, "--folder", str(folder / "l")]


def killed(folder: Path, program: str, number: int, side: str) -> tuple[Completed, list[str], str]:
    """Run the task `write`; return how it ended, which calls it made, and the stage its ledger is at."""
    in_folder = ["env", "-C", str(folder), *words(folder, program, "write", number, side, "kill")]
    ended = processes.run(in_folder, env={"PYTHONPATH": ROOT}, accept=None)
    entry = DiskLedger(folder / "l").read(TUNNEL)
    return ended, (folder / "calls").read_text().splitlines(), entry.stage if entry else "none"


@pytest.mark.parametrize(
    ("number", "side", "stage"),
    [
        (1, "before", "none"),
        (1, "after", "intended"),
        (2, "before", "intended"),
        (2, "after", "launched"),
        (3, "before", "launched"),
        (3, "after", "answered"),
    ],
)
def test_a_fab_run_is_killed_at_each_call_on_each_side(tmp_path: Path, number: int, side: str, stage: str) -> None:
    ended, calls, found = killed(tmp_path, "fab", number, side)
    assert ended.status in {-9, 137}, ended  # 137 where `env` waits for it
    assert (calls, found) == (["ledger.write"] * number, stage)


@pytest.mark.parametrize("program", ["fab", "inv"])
@pytest.mark.parametrize("number", [0, 4])
def test_a_run_in_which_nobody_is_killed_keeps_its_own_status(tmp_path: Path, program: str, number: int) -> None:
    ended, calls, found = killed(tmp_path, program, number, "before")
    assert ended.status == 5, ended
    assert (calls, found) == (["ledger.write"] * 3, "answered")


ENDED = {
    "fail": (6, "Error (fault.struck): a test broke this call.\n"),
    "interrupt": (130, "Interrupted.\n"),
    "terminate": (130, "Interrupted.\n"),
    "hangup": (130, "Interrupted.\n"),
}


@pytest.mark.parametrize("deed", ENDED)
@pytest.mark.parametrize(("number", "side"), [(1, "before"), (1, "after"), (2, "before"), (2, "after")])
def test_a_verb_that_is_broken_off_takes_back_what_it_did_and_says_so(
    tmp_path: Path, deed: str, number: int, side: Side
) -> None:
    in_folder = ["env", "-C", str(tmp_path), *words(tmp_path, "fab", "tidy", number, side, deed)]
    ended = processes.run(in_folder, env={"PYTHONPATH": ROOT}, accept=None)
    assert (ended.status, ended.stderr, ended.stdout) == (*ENDED[deed], "taking it back\ntaken back\n")
    assert DiskLedger(tmp_path / "l").entries() == []


@pytest.mark.parametrize("deed", ["terminate", "hangup"])
def test_a_second_signal_does_not_break_the_clean_up_off(tmp_path: Path, deed: str) -> None:
    in_folder = ["env", "-C", str(tmp_path), *words(tmp_path, "fab", "tidy", 1, "after", deed), "--twice"]
    ended = processes.run(in_folder, env={"PYTHONPATH": ROOT}, accept=None)
    assert (ended.status, ended.stdout) == (130, "taking it back\ntaken back\n")
    assert DiskLedger(tmp_path / "l").entries() == []


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_verb_that_hangs_is_broken_off_from_outside(tmp_path: Path, number: signal.Signals) -> None:
    command = words(tmp_path, "fab", "tidy", 2, "before", "hang")
    with subprocess.Popen(command, cwd=tmp_path, env=processes.environment({"PYTHONPATH": ROOT}), stderr=PIPE) as tool:
        wait_for(
            lambda: True if calls_of(tmp_path) == ["ledger.write"] * 2 else None,
            what="the hang",
            seconds=60,
            clock=SystemClock(),
        )
        tool.send_signal(number)
        _, said = tool.communicate(timeout=60)
    assert (tool.returncode, said) == (130, b"Interrupted.\n")
    assert DiskLedger(tmp_path / "l").entries() == []


def calls_of(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
