"""Kill one of the two real tools at one port call, or break it off in another way; let people clean up as they would, and
say what is left.

Nothing is judged here: a kill notes what it found, so that one that leaves something does not hide the next one.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.snapshot import Snapshot, changes
from support_tunnel.adapters.processes import Streaming
from support_tunnel.cli import paths
from support_tunnel.cli.admin.rehearsal.run import NOT_A_CHANGE
from support_tunnel.cli.admin.rehearsal.stage import invoke_on_device
from support_tunnel.cli.admin.wiring import admin_ports
from support_tunnel.core import audit
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.ports import Completed
from support_tunnel.core.st1.code import Code
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes
from support_tunnel.flows.admin.sweep import sweep
from support_tunnel.testing.people import RecordedProgress
from tests.onebox.crew import PATIENCE, Crew

REQUEST = ("request-and-connect-tunnel", "--json", "--ttl", "5")
ANSWER = ("create-tunnel-server", "--json", "-p")
CALLS_ON_DEVICE = "/dev/shm/calls"  # noqa: S108 - in a node of this test, whose memory nobody compares
HERE = ("env", "-C", str(paths.REPOSITORY), "PYTHONDONTWRITEBYTECODE=1")
MARK = "--- "
CTRL_C_COUNTS = ("env", "--default-signal=INT")
"""A shell starts what runs in the background with SIGINT ignored, these tests too."""
KILLED_AT = "support_tunnel.testing.killed_at"


@dataclass(frozen=True, slots=True)
class Kill:
    """`number` 0 kills nobody; `side` is of the call's effect; `deed` as `testing.killed_at` has them."""

    number: int = 0
    side: str = "before"
    deed: str = "kill"

    def words(self, calls: str, program: str, *words: str) -> list[str]:
        killed_at = ("-m", KILLED_AT, str(self.number), self.side, "--deed", self.deed, "--calls", calls)
        return [sys.executable, *killed_at, "--", program, *words]

    @property
    def status(self) -> int:
        """What the tool ends with. One that hangs is ended by Ctrl-C."""
        if not self.number:
            return 0
        return {"kill": -9, "fail": 6}.get(self.deed, 130)

    @property
    def orderly(self) -> bool:
        """Whether the tool has the time to put back what it did."""
        return bool(self.number) and self.deed != "kill"


@dataclass(slots=True)
class Killing:
    """One stage on which one tool after the other is killed. `with` it: an owner who still waits stops waiting."""

    people: Crew
    before: Snapshot
    asks: tuple[str, ...] = ()
    """Flags of the request besides the usual."""
    problems: list[str] = field(default_factory=list)
    _waiting: tuple[Streaming, Code] | None = None
    _end: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Killing:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    # --- one kill of each kind ---

    def of_admin(self, kill: Kill) -> list[str]:
        """Kill `fab create-tunnel-server` while the device waits for it; return its calls."""
        calls = self.people.on.folder / "calls"
        calls.unlink(missing_ok=True)
        owner, code = self._waiting or self._asked()
        words = [*CTRL_C_COUNTS, *self.people.fab_words()[:-1], *kill.words(str(calls), "fab", *ANSWER, "-")]
        with subprocess.Popen(words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=processes.environment()) as tool:
            assert tool.stdin is not None
            tool.stdin.write(code.text().reveal().encode() + b"\n")
            tool.stdin.flush()
            if kill.deed == "hang":
                self._waits_at(kill, lambda: calls.read_text() if calls.exists() else "")
                tool.send_signal(signal.SIGINT)
            _, said = tool.communicate(timeout=PATIENCE)
        if tool.returncode != kill.status:
            self._note(kill, f"fab ended with {tool.returncode}: {said.decode().strip()[-300:]}")
        self._sweep_and_stop(code.tunnel, kill)
        if self._is_open(code.tunnel):
            # Killed before it did anything that the owner could notice: they wait on, for the next one.
            self._waiting = owner, code
            self._look_at_admin(code.tunnel, kill)
        else:
            self._waiting = None
            self._lets_go(owner, kill, "inv")
            self._end.close()
            self._look(code.tunnel, kill)
        return calls.read_text().split()

    def of_device(self, kill: Kill) -> list[str]:
        """Kill `inv request-and-connect-tunnel` while an admin answers it; return its calls."""
        words = shlex.join(["rm", "-f", CALLS_ON_DEVICE]) + "; exec "
        words += shlex.join([*CTRL_C_COUNTS, *HERE, *kill.words(CALLS_ON_DEVICE, "inv", *REQUEST, *self.asks)])
        tunnel = None
        with processes.streaming([*self.people.on.device.ssh, words]) as owner:
            said = json.loads(owner.line() or "{}")
            if "preshared_key" in said:  # and not an error, or nothing at all
                code = Code.parse(said["preshared_key"])
                tunnel = code.tunnel
                with self._answering(code) as admin:
                    if kill.deed == "hang":
                        self._waits_at(kill, lambda: self.people.device(f"cat {CALLS_ON_DEVICE} || true"))
                        self.people.device(shlex.join(["pkill", "-INT", "-f", KILLED_AT]))
                    self._dies(owner, kill)
                    cleaned = self._done(self.people.inv("gc"), kill)
                    if kill.orderly and cleaned != "nothing to clean up\n":
                        self._note(kill, f"left for gc: {cleaned.strip()}")
                    self._lets_go(admin, kill, "fab")
                self._sweep_and_stop(tunnel, kill)
            else:
                self._dies(owner, kill)
        return self._look(tunnel, kill)

    # --- what people do, and what happens by itself ---

    def _asked(self) -> tuple[Streaming, Code]:
        words = [*self.people.on.device.ssh, invoke_on_device(*REQUEST, *self.asks)]
        owner = self._end.enter_context(processes.streaming(words))
        return owner, Code.parse(json.loads(owner.line())["preshared_key"])

    @contextmanager
    def _answering(self, code: Code) -> Iterator[Streaming]:
        file = self.people.on.folder / "code"
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(code.text().reveal())
        with processes.streaming(self.people.fab_words(*ANSWER, f"file:{file}")) as admin:
            yield admin

    def _sweep_and_stop(self, tunnel: TunnelId, kill: Kill) -> None:
        """`fab sweep` keeps what is connected, as it should; `fab stop` ends that."""
        swept = json.loads(self._done(self.people.fab("sweep", "--json"), kill).splitlines()[-1])
        if kill.orderly and swept["ended"]:
            self._note(kill, f"left for the sweep: {swept['ended']}")
        if any("connected" in label for label in swept["kept"]):
            self._done(self.people.fab("stop", tunnel[:8]), kill)

    def _waits_at(self, kill: Kill, calls: Callable[[], str]) -> None:
        wait_for(
            lambda: True if len(calls().split()) == kill.number else None,
            what=f"call {kill.number}",
            seconds=PATIENCE,
            clock=SystemClock(),
        )

    def _done(self, ran: Completed, kill: Kill) -> str:
        if ran.status != 0:
            self._note(kill, f"clean-up failed: {ran.stderr.strip()}")
        return ran.stdout

    def _dies(self, owner: Streaming, kill: Kill) -> None:
        try:
            ended = owner.end(timeout=PATIENCE)
        except HostError:
            self._note(kill, "inv neither died nor ended")
            return
        if (ended.status == 0) is bool(kill.number):
            self._note(kill, f"inv ended with {ended.status}: {ended.stderr.strip()[-300:]}")

    def _lets_go(self, tool: Streaming, kill: Kill, who: str) -> None:
        """It ends by itself: connected, or with an error of ours that says why."""
        try:
            ended = tool.end(timeout=PATIENCE)
        except HostError:
            self._note(kill, f"{who} still waits for somebody who is gone")
            return
        if ended.status != 0 and "Error (" not in ended.stderr:
            self._note(kill, f"{who} ended with {ended.status}: {ended.stderr.strip()[-300:]}")

    # --- what is seen ---

    def _note(self, kill: Kill, *found: str) -> None:
        self.problems += [f"{kill.deed} {kill.side} call {kill.number}: {thing}" for thing in found]

    def _is_open(self, tunnel: TunnelId) -> bool:
        ports = admin_ports(self.people.on.settings, progress=RecordedProgress())
        return any(row.tunnel == tunnel and row.state == "open" for row in ports.mailbox_for(None).tunnels())

    def _look(self, tunnel: TunnelId | None, kill: Kill) -> list[str]:
        """Look everywhere, once the keeper, if there is one, has come to its end; return the calls made on the device."""
        if tunnel is not None:
            self._wait_for_keeper(tunnel)
        self._done(self.people.inv("gc"), kill)
        names = Names(tunnel or TunnelId("0" * 32))
        script = f"""({probes.leftovers(names).reveal()})
({probes.traces().reveal()})
find /run/support_tunnel /run/systemd/transient /run/systemd/system -type f -name 'st-*' -o -type f -path '/run/support_tunnel/*'
echo '{MARK}'
cat {CALLS_ON_DEVICE}
echo '{MARK}'
cat /var/log/support_tunnel/{names.short}.jsonl
"""
        left, calls, log = self.people.device(script).split(MARK + "\n")
        self._note(kill, *(f"device: {line}" for line in left.splitlines()))
        self._note(kill, *changes(self.before, self.people.tree(), ignoring=NOT_A_CHANGE))
        if tunnel is not None:
            try:
                audit.verify(log.encode(), tunnel)
            except audit.LogBroken as broken:
                self._note(kill, f"log: {broken.message}")
        self._look_at_admin(tunnel, kill)
        return calls.split()

    def _look_at_admin(self, tunnel: TunnelId | None, kill: Kill) -> None:
        ports = admin_ports(self.people.on.settings, progress=RecordedProgress())
        swept = sweep(ports)
        self._note(kill, *(f"a second sweep: {thing}" for thing in [*swept.ended, *swept.kept, *swept.failed]))
        waiting = self._waiting[1].tunnel if self._waiting else None
        self._note(
            kill,
            *(f"ledger entry at {entry.stage}" for entry in ports.ledger.entries()),
            *(f"file {path.name}" for path in Path(self.people.on.settings.runtime).rglob("*")),
            *(f"server {server.name}" for server in ports.clouds["local"].servers()),
            *(f"open tunnel {row.tunnel}" for row in ports.mailbox_for(None).tunnels() if row.tunnel != waiting),
        )

    def _wait_for_keeper(self, tunnel: TunnelId) -> None:
        ask = shlex.join(["systemctl", "is-active", Names(tunnel).keeper_unit])
        wait_for(
            lambda: True if self.people.device(ask).strip() in {"inactive", "failed", "unknown"} else None,
            what="the end of the keeper",
            seconds=PATIENCE,
            clock=SystemClock(),
        )
