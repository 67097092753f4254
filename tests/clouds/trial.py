"""One killed tool on one troubled cloud, and what two machines make of it afterwards.

In the cloud are somebody else's server and firewall of our kind of name and a colleague's live server. The tool runs and is killed; a
sweep comes within a minute, while the trouble lasts; two days pass, all is well, and a sweep comes again. What is left is told as text.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from support_tunnel.adapters.cloud_libcloud import LibcloudCloud
from support_tunnel.adapters.cloud_table import CLOUDS
from support_tunnel.adapters.ledger_disk import DiskLedger
from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.core.ports import OpenPort, ServerSpec
from support_tunnel.flows.admin.sweep import Swept, sweep
from support_tunnel.testing.clock import START, ManualClock
from support_tunnel.testing.faults import Side
from tests.clouds.ambush import TROUBLES, Ambush, Kill, Trouble
from tests.clouds.gate import Provider, served
from tests.clouds.reached import cloud_at
from tests.clouds.victim import DONE, Machine, Task, Verb, Victims, stand_ins, victims

__all__ = [
    "KILLED",
    "KINDS",
    "SIDES",
    "SWEEPERS",
    "Deed",
    "Ground",
    "Story",
    "Sweeper",
    "Trial",
    "ground",
    "killed_at_each",
    "troubled",
]

Sweeper = Literal["same", "second"]
DAY = 86_400.0
THEIRS = "support-tunnel-12345678"
"""Our kind of name, and somebody else's."""
COLLEAGUE = ServerSpec(
    name="support-tunnel-5a5a5a5a",
    user_data="#cloud-config\n{}\n",
    expires=START + timedelta(days=30),
    tags={
        "st-tunnel": "5a" * 16,
        "st-owner": "bob@desk",
        "st-expires": str(int((START + timedelta(days=30)).timestamp())),
    },
    open_ports=(OpenPort("tcp", 22), OpenPort("udp", 31_000)),
)


Deed = Literal["create", "stop", "sweep", "sweep by tags"]
"""The verb that is killed; the last is a sweep on a machine that has never heard of the tunnel."""


class Story(NamedTuple):
    """What happens in one trial. `ahead`: seconds by which the clock of the tool's machine is wrong, until it is set right."""

    deed: Deed
    kill: Kill | None = None
    trouble: Trouble | None = None
    ahead: float = 0.0
    sweeper: Sweeper = "same"
    call: Kill | None = None
    """Killed at this port call in place of a request."""
    step: int = 0
    """Killed at this step of the local cloud in place of a request."""


KINDS = (*TROUBLES, "clock ahead", "clock behind")
SIDES: tuple[Side, ...] = get_args(Side)
SWEEPERS: tuple[Sweeper, ...] = get_args(Sweeper)
KILLED = -signal.SIGKILL


def troubled(story: Story, kind: str, first: int, times: int) -> Story:
    """Add trouble of this kind; of a wrong clock there is no first request. Without a kind there is none."""
    if kind.startswith("clock"):
        return story._replace(ahead=DAY if kind.endswith("ahead") else -DAY)
    return story._replace(trouble=Trouble(kind, first, times)) if kind else story


@dataclass(frozen=True)
class Trial:
    ended: int
    """As `Victims.run` says it."""
    requests: int
    calls: list[str]
    wrong: list[str]
    """What is left that should not be, or has gone that should be there; empty if all is well."""


class Ground:
    """Where trials take place: one gate, one process that forks."""

    def __init__(self, provider: Callable[[], Provider], ambush: Ambush, victims: Victims, folder: Path) -> None:
        self.name = ambush.provider.name
        self._provider = provider
        self._ambush = ambush
        self._victims = victims
        self._folder = folder
        self._record = folder / "calls"
        self._trials = count()
        self._peopled = False
        ambush.now = lambda: START + timedelta(seconds=self._passed)
        self._passed = 0.0
        self._fresh()
        ambush.learn(self.cloud().servers)
        self._library = stand_ins(folder / "roles")
        assert self._run("create", folder / "rehearsal") == DONE

    def play(self, story: Story) -> Trial:
        first = self._folder / f"{next(self._trials)}"
        second = first.with_suffix(".second")
        self._passed = 0.0
        if not self._peopled:
            self._people()
        provider, ambush = self._ambush.provider, self._ambush
        servers, walls = set(provider.everything()), set(provider.walls())
        if story.deed != "create":
            assert self._run("create", first) == DONE
            self._passed = DAY if story.deed != "stop" else 60.0
        ambush.lie_in_wait(kill=story.kill, trouble=story.trouble)
        verb: Verb = "sweep" if story.deed == "sweep by tags" else story.deed
        ended = self._run(verb, second if story.deed == "sweep by tags" else first, story)
        requests = len(ambush.log)
        ambush.lie_in_wait(trouble=story.trouble._replace(first=1, times=10**9) if story.trouble else None)
        sweeper = first if story.sweeper == "same" else second
        wrong = []
        self._passed += 60
        if story.trouble or story.ahead:
            self._sweep(sweeper, ahead=story.ahead if story.sweeper == "same" else 0.0)
        elif story.sweeper == "same" and not any(entry.stage == "connected" for entry in _ledger(first).entries()):
            self._sweep(first)  # who has the ledger need not wait until the server's time is over
            wrong += [f"at once: {one}" for one in _differences("server", servers, set(provider.everything()))]
        ambush.lie_in_wait()
        self._passed += 2 * DAY
        wrong += [f"the sweep failed: {what}: {why}" for what, why in self._sweep(sweeper).failed]
        servers |= {server for server, _ in ambush.planted}
        walls |= {wall for _, wall in ambush.planted if wall}
        wrong += _differences("server", servers, set(provider.everything()))
        wrong += _differences("firewall", walls, set(provider.walls()))
        if story.sweeper == "second":
            wrong += [f"the first machine's sweep failed: {what}: {why}" for what, why in self._sweep(first).failed]
        wrong += [f"{entry.stage} in the ledger" for entry in _ledger(first).entries()]
        wrong += [f"keys of {tunnel[:8]}" for tunnel in TmpfsVault(first / "admin-vault").tunnels()]
        wrong += getattr(getattr(provider, "contract", None), "complaints", [])
        record = self._record
        calls = record.read_text().splitlines() if record.exists() else []
        for folder in (first, second):
            shutil.rmtree(folder, ignore_errors=True)
        record.unlink(missing_ok=True)
        self._peopled = not wrong and not ambush.planted
        return Trial(ended, requests, calls, wrong)

    def _people(self) -> None:
        """A cloud with others in it; the trials that leave it as it was share it."""
        self._fresh()
        provider = self._ambush.provider
        provider.foreign(THEIRS)
        if CLOUDS[provider.name].firewall is not None:
            provider.foreign_wall(THEIRS)
        self.cloud().create(COLLEAGUE)
        self._peopled = True

    def _fresh(self) -> None:
        self._ambush.stage(self._provider())
        self.settings = self._ambush.provider.settings(self._ambush.url)

    def cloud(self) -> LibcloudCloud:
        """As an undisturbed tool reaches it."""
        return cloud_at(self._ambush.provider.name, self.settings, ManualClock())

    def everything(self) -> set[str]:
        return set(self._ambush.provider.everything())

    def _run(self, verb: Verb, machine: Path, story: Story | None = None) -> int:
        call = story.call if story else None
        task = Task(
            verb,
            self._ambush.provider.name,
            self.settings,
            folder=str(machine),
            roles=str(self._folder / "roles"),
            passed=self._passed,
            ahead=story.ahead if story else 0.0,
            call=call.number if call else 0,
            side=call.side if call else "before",
            step=story.step if story else 0,
            record=str(self._record) if story else "",
        )
        return self._victims.run(task, self._ambush.victim.set_result)

    def _sweep(self, folder: Path, *, ahead: float = 0.0) -> Swept:
        machine = Machine(
            self._ambush.provider.name, self.settings, folder, self._library, passed=self._passed, ahead=ahead
        )
        return sweep(machine.ports())


def killed_at_each(
    played: Ground, story: Story, first: int = 1, *, both: bool = False
) -> Iterator[tuple[Story, Trial]]:
    """Kill at request after request until a run comes to its end before that; it is the last.

    Swept by the same machine after its effect, by the second one before it: what the cloud has then is what it had after the one before.
    The two take turns unless `both` are asked for.
    """
    turns: list[tuple[Side, Sweeper]] = [("before", "second"), ("after", "same")]
    for number in count(first):
        for side, sweeper in turns if both else [turns[(number + first) % 2]]:
            at = story._replace(kill=Kill(number, side), sweeper=sweeper)
            done = played.play(at)
            yield at, done
            if done.ended != KILLED:
                return


def _ledger(machine: Path) -> DiskLedger:
    return DiskLedger(machine / "ledger")


def _differences(what: str, before: set[str], after: set[str]) -> list[str]:
    left = [f"{what} {one} is left" for one in sorted(after - before)]
    return left + [f"{what} {one} of somebody else is gone" for one in sorted(before - after)]


@contextmanager
def ground(provider: Callable[[], Provider]) -> Iterator[Ground]:
    with (
        tempfile.TemporaryDirectory(prefix="support-tunnel-trials-", dir="/dev/shm") as folder,
        served(Ambush(provider())) as ambush,
        victims() as forking,
    ):
        yield Ground(provider, ambush, forking, Path(folder))
