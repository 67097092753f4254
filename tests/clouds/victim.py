"""Verbs of the admin's tool in processes of their own, for a test that kills them.

One process imports what is slow and then forks for each verb (`Victims`), so that a thousand killed tools cost no more than their
own work. What they keep is on disk: ledger, account and vault of the folder that is a machine's; the device, its API and the
host on the server are models within the process, and end with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from support_tunnel.core.errors import CloudError, SupportTunnelError
from support_tunnel.core.ports import ServerSpec
from support_tunnel.flows.admin.ports import AdminPorts
from support_tunnel.flows.admin.stop import stop
from support_tunnel.flows.admin.sweep import sweep
from support_tunnel.flows.library import Library
from support_tunnel.testing.faults import Fault, FaultWiring, Side, killing
from support_tunnel.testing.hosts import FakeConnector, FakeServerShell
from tests.clouds.local import die_at
from tests.clouds.reached import cloud_at
from tests.flows.turns import TurnClock
from tests.flows.world import REPOSITORY, World

__all__ = ["DONE", "ERROR", "Machine", "Task", "Verb", "Victims", "stand_ins", "victims"]

Verb = Literal["create", "stop", "sweep"]
DONE, ERROR, BROKEN = 0, 3, 4
"""How a process ends by itself: as it should, with an error of ours, with any other exception."""
ROLES = ("tunnel_server", "device_tunnel", "device_access", "headscale", "tailscale_node")
CLOUD = "played"


@dataclass(frozen=True)
class Task:
    """One verb. `folder` is the machine, `passed` the seconds since the beginning of time, `ahead` those of its wrong clock.

    It is killed at the `call`-th port call (from 1; 0: at none), on that side of it; the calls are written into `record`.
    """

    verb: Verb
    driver: str
    settings: Mapping[str, str]
    folder: str
    roles: str
    passed: float = 0.0
    ahead: float = 0.0
    call: int = 0
    side: Side = "before"
    record: str = ""
    step: int = 0
    """Killed at this step of the local cloud (from 1; 0: at none)."""


class Machine:
    """An admin's computer: what it keeps is in `folder`, and it has one cloud in its inventory."""

    def __init__(
        self, driver: str, settings: Mapping[str, str], folder: Path, library: Library, *, passed: float, ahead: float
    ) -> None:
        self.world = World(folder, library=library)
        self.world.manual.advance(passed)
        self.clock = TurnClock(self.world.turns, ahead=timedelta(seconds=ahead))
        self.cloud = cloud_at(driver, settings, self.clock)

    def ports(self, wiring: FaultWiring | None = None) -> AdminPorts:
        return self.world.admin_ports(wiring, **self.changes(wiring))

    def changes(self, wiring: FaultWiring | None) -> dict[str, Any]:
        counted = wiring or FaultWiring()
        return {
            "clock": self.clock,
            "clouds": {CLOUD: counted.wrap("cloud", self.cloud)},
            "cloud": CLOUD,
            "connector": counted.wrap("connector", _Reached(self.world)),
        }


class _Reached(FakeConnector):
    """`ports.Connector`: once the admin has been on the server, the device reaches it too."""

    def __init__(self, world: World) -> None:
        super().__init__(world.server)
        self._world = world

    def connect(self, address: str, **login: Any) -> FakeServerShell:
        tags = {"st-tunnel": self._world.tunnel}
        self._world.cloud.create(ServerSpec(name=address, user_data="", expires=self._world.clock.now(), tags=tags))
        return super().connect(address, **login)


def stand_ins(folder: Path) -> Library:
    """Roles that do nothing: what they do on a server is shown elsewhere, and the real ones are slow to compile."""
    for name in ROLES:
        tasks = folder / name / "tasks"
        tasks.mkdir(parents=True, exist_ok=True)
        task = f"- name: Stand-in\n  ansible.builtin.file: {{path: /run/{name}, state: directory, mode: '0700'}}\n"
        (tasks / "main.yml").write_text(task)
    return Library(folder, REPOSITORY / "templates")


def do(task: Task, ready: Callable[[], None]) -> None:
    """Do it; `ready` is called once before anything of it."""
    machine = Machine(
        task.driver, task.settings, Path(task.folder), stand_ins(Path(task.roles)), passed=task.passed, ahead=task.ahead
    )
    wiring = FaultWiring(
        Fault(task.call, task.side, killing()) if task.call else None, record=Path(task.record) if task.record else None
    )
    try:
        _do(task, machine, wiring, ready)
    finally:
        machine.world.end()


def _do(task: Task, machine: Machine, wiring: FaultWiring, ready: Callable[[], None]) -> None:
    world = machine.world
    if task.verb == "create":
        world.owner_agrees()
        world.turns.start(world.request)
        world.turns.run(until=lambda: world.code is not None)
        ready()
        admin = world.turns.start(lambda: world.answer(wiring, **machine.changes(wiring)))
        world.turns.run(admin)
        if admin.error is not None:
            raise admin.error
        return
    ready()
    ports = machine.ports(wiring)
    if task.verb == "sweep":
        if failed := sweep(ports).failed:
            raise CloudError("cloud.unknown", f"not everything could be ended: {failed}")
        return
    for entry in ports.ledger.entries():
        with ports.vault.hold(entry.tunnel):
            stop(ports, entry.tunnel)


def serve() -> None:
    """Fork for each line of stdin, a task. The first is done here, so that all it imports or makes once is there for the others."""
    rehearsed = False
    for line in sys.stdin:
        task = Task(**json.loads(line))
        if not rehearsed:
            rehearsed = True
            do(task, lambda: None)
            say(ended=DONE)
            continue
        pid = os.fork()
        if not pid:
            os._exit(_end_of(task))
        _, status = os.waitpid(pid, 0)
        say(ended=os.waitstatus_to_exitcode(status))


def _end_of(task: Task) -> int:
    def ready() -> None:
        say(pid=os.getpid())
        sys.stdin.readline()

    if task.step:
        die_at(task.step)
    try:
        do(task, ready)
    except (SupportTunnelError, OSError):
        return ERROR
    except BaseException:  # noqa: BLE001 - told to the test, which fails
        traceback.print_exc()
        sys.stderr.flush()
        return BROKEN
    return DONE


def say(**told: object) -> None:
    print(json.dumps(told), flush=True)  # noqa: T201 - the parent reads it


class Victims:
    """The process that forks. `ready` is told the pid of each one before it does anything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, task: Task, ready: Callable[[int], object] = lambda pid: None) -> int:
        """How it ended: `DONE`, `ERROR`, or minus the signal that killed it."""
        self._write(json.dumps(asdict(task)))
        told = self._read()
        if "pid" in told:
            ready(told["pid"])
            self._write("go")
            told = self._read()
        assert told["ended"] != BROKEN, f"{task.verb} ended in an exception that is none of ours"
        return int(told["ended"])

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def victims() -> Iterator[Victims]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.clouds.victim"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Victims(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # it ends by that, and so does one that waits for its word
            process.wait(60)


if __name__ == "__main__":
    serve()
