"""Both sides of a tunnel in one process, one at a time: a job runs until it waits, then time passes to whoever is next.

So two flows play against each other in the same order every time, hours of waiting pass at once, and a job can be killed
as `kill -9` would: at a point where it waits, with none of its handlers able to do anything any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from support_tunnel.core.consent import stopped_meanwhile
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.ports import Question
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.fake_mailbox import FakeMailbox
from support_tunnel.testing.people import ScriptedPrompt

P = TypeVar("P")

STUCK = 60.0
"""Real seconds after which a job that neither ends nor waits is a fault of the test."""


class Killed(BaseException):
    """What a killed tool's code sees: nothing it does from here on has an effect."""


class Job:
    """One tool. `result` or `error` once it has `ended`."""

    def __init__(self, turns: Turns, work: Callable[[], Any]) -> None:
        self._turns = turns
        self._work = work
        self._turn = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._body, daemon=True)
        self.ready: Callable[[], bool] = lambda: True
        self.deadline = 0.0
        self.ended = self.killed = False
        self.result: Any = None
        self.error: BaseException | None = None

    def _body(self) -> None:
        self._turn.acquire()
        try:
            self._check()
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        self.ended = True
        self._turns.back.release()

    def _check(self) -> None:
        if self.killed:
            raise Killed

    def play(self) -> None:
        """Called by the scheduler: let the job go on until it waits or ends."""
        if not self._thread.is_alive():
            self._thread.start()
        self._turns.current = self
        self._turn.release()
        assert self._turns.back.acquire(timeout=STUCK), "a job neither ends nor waits"
        self._turns.current = None

    def wait(self, ready: Callable[[], bool], deadline: float) -> None:
        """Called by the job itself."""
        self._check()
        self.ready, self.deadline = ready, deadline
        self._turns.back.release()
        self._turn.acquire()
        self._check()


class Turns:
    """The scheduler; the test's own thread."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.back = threading.Semaphore(0)
        self.current: Job | None = None
        self._jobs: list[Job] = []

    def start(self, work: Callable[[], Any]) -> Job:
        """Add a tool; it gets its first turn in the next `run`."""
        job = Job(self, work)
        self._jobs.append(job)
        return job

    def run(self, *jobs: Job, until: Callable[[], bool] = lambda: False) -> None:
        """Play until these jobs (all, when none is named) have ended, or `until` holds between two turns."""
        while not until() and any(not job.ended for job in jobs or self._jobs):
            self._next().play()

    def wait(self, ready: Callable[[], bool], seconds: float) -> None:
        """Let the others act, until `ready` or `seconds` later. Outside a job only time passes."""
        if self.current is None:
            if not ready():
                self.clock.advance(max(0.0, seconds))
        else:
            self.current.wait(ready, self.clock.monotonic() + max(0.0, seconds))

    def kill(self, job: Job) -> None:
        """As SIGKILL: it does nothing any more."""
        job.killed = True
        while not job.ended:
            job.play()

    def mortal(self, port: P) -> P:
        """The same port, that does nothing for a job that was killed: its handlers run here, but not in a dead process."""
        return _Mortal(self, port)  # type: ignore[return-value]  # same shape

    def end(self) -> None:
        """End whoever still waits."""
        for job in self._jobs:
            if not job.ended:
                self.kill(job)

    def _next(self) -> Job:
        waiting = [job for job in self._jobs if not job.ended]
        for job in waiting:
            if job.ready():
                return job
        first = min(waiting, key=lambda job: job.deadline)
        self.clock.advance(max(0.0, first.deadline - self.clock.monotonic()))
        return first


class _Mortal:
    """One port as the jobs see it."""

    def __init__(self, turns: Turns, port: object) -> None:
        self._turns, self._port = turns, port

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._port, attribute)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._turns.current is not None and self._turns.current.killed:
                raise Killed
            return found(*args, **kwargs)

        return call if callable(found) else found


class TurnClock:
    """`ports.Clock` of all tools: a pause is a turn for the others. `ahead` of the right time, for a machine whose clock is wrong."""

    def __init__(self, turns: Turns, *, ahead: timedelta = timedelta(0)) -> None:
        self._turns = turns
        self._ahead = ahead

    def now(self) -> datetime:
        return self._turns.clock.now() + self._ahead

    def monotonic(self) -> float:
        return self._turns.clock.monotonic()

    def boottime(self) -> float:
        return self._turns.clock.boottime()

    def pause(self, seconds: float) -> None:
        self._turns.wait(lambda: False, seconds)


class TurnMailbox:
    """`ports.Mailbox` of one tool: waiting for a message is a turn for the others."""

    def __init__(self, turns: Turns, inner: FakeMailbox) -> None:
        self._turns = turns
        self._inner = inner
        self.open, self.post, self.close, self.tunnels = inner.open, inner.post, inner.close, inner.tunnels

    def messages(self, tunnel: Any, *, after: int, wait: float) -> Any:
        def ready() -> bool:
            try:
                return bool(self._inner.messages(tunnel, after=after, wait=0))
            except SupportTunnelError:
                return True

        self._turns.wait(ready, wait)
        return self._inner.messages(tunnel, after=after, wait=0)


class TurnPrompt:
    """`ports.Prompt`: a person takes a moment for each answer, and all the time there is when they are away."""

    MOMENT = 2.0

    def __init__(self, turns: Turns, person: ScriptedPrompt) -> None:
        self._turns = turns
        self._person = person
        self.show, self.introduce = person.show, person.introduce

    def ask(self, question: str, *, about: Question, timeout: float, stopped: Callable[[], bool]) -> str:
        deadline = self._turns.clock.monotonic() + (timeout if self._person.is_away else self.MOMENT)
        while (left := deadline - self._turns.clock.monotonic()) > 0:
            self._turns.wait(lambda: False, min(self.MOMENT, left))
            if stopped():
                raise stopped_meanwhile()
        return self._person.ask(question, about=about, timeout=timeout, stopped=stopped)
