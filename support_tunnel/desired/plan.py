"""A compiled plan and what came of it. Every step must report: one that did not is a failure, never taken for fine."""

from __future__ import annotations

import base64
import binascii
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.desired.masking import HIDDEN, Mask

__all__ = ["Outcome", "Plan", "Report", "Status", "Step", "report_lines"]

Status = Literal["ok", "changed", "failed", "skipped"]
LINE = re.compile(r"support-tunnel: (\S+) (ok|changed|failed|skipped|before|after|) ?([A-Za-z0-9+/=]*)")


@dataclass(frozen=True, slots=True)
class Step:
    """One task, or one turn of its loop. A step that is `settled` was decided here and is not in the script."""

    role: str
    task: str
    item: str = ""
    settled: Literal["ok", "skipped"] | None = None
    detail: str = ""
    no_log: bool = False
    shows: bool = False
    """A diff may be shown."""
    content: bytes | None = field(default=None, repr=False)
    """The file it makes, when a diff may be shown; None when only the host can tell."""

    def masked(self, mask: Mask) -> Step:
        """The same in words that may be shown."""
        hidden = f"hidden (no_log) {HIDDEN}"
        item, detail = (mask(self.item), mask(self.detail)) if not self.no_log else ("", hidden if self.detail else "")
        return replace(self, task=mask(self.task), item=item, detail=detail)


@dataclass(frozen=True, slots=True)
class Outcome:
    role: str
    task: str
    status: Status
    detail: str = ""
    item: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    outcomes: tuple[Outcome, ...]

    @property
    def changed(self) -> bool:
        return any(outcome.status == "changed" for outcome in self.outcomes)

    @property
    def failed(self) -> Outcome | None:
        return next((outcome for outcome in self.outcomes if outcome.status == "failed"), None)

    def raise_for_failure(self, host: str) -> None:
        """Raise HostError `converge.failed` that names the first task that failed and what the host said."""
        failed = self.failed
        if failed is None:
            return
        role = f" of role {failed.role}" if failed.role else ""
        raise HostError(
            "converge.failed",
            f"{host}: '{failed.task}'{role} failed: {failed.detail or 'the host gave no reason'}",
            next_step="Mend what the message names and run the same command again; it goes on where it stopped.",
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes to `sh -s` on a host, and how to read its answer."""

    script: Secret[str]
    steps: tuple[Step, ...]
    mask: Mask

    def report(self, completed: Completed) -> Report:
        """Read what the script printed; `completed` may come from a host that lies or died."""
        return Report(tuple(self._outcomes(completed)))

    def _outcomes(self, completed: Completed) -> Iterator[Outcome]:
        said = report_lines(completed.stdout)
        failed = False
        if "journal" in said:
            failed = True
            yield Outcome("", "undo journal", "failed", self.mask(said["journal"].text))
        for number, step in enumerate(self.steps):
            outcome = self._outcome(step, said.get(str(number)), completed, failed)
            failed = failed or outcome.status == "failed"
            yield outcome
        if not failed and ("end" not in said or completed.status != 0):
            yield Outcome("", "the end of the script", "failed", self._unknown(completed))

    def _outcome(self, step: Step, said: _Said | None, completed: Completed, failed: bool) -> Outcome:
        if step.settled is not None:
            status: Status = "skipped" if failed else step.settled
            return self._made(step, status, step.detail)
        if said is None or said.status is None:
            return self._made(step, "failed", self._unknown(completed))
        diff, after = "", said.after if step.content is None else step.content
        if step.shows and said.status == "changed" and said.before is not None and after is not None:
            diff = self.mask(_diff(said.before, after))
        return self._made(step, said.status, said.text, diff)

    def _made(self, step: Step, status: Status, detail: str, diff: str = "") -> Outcome:
        if step.no_log:
            return Outcome(step.role, step.task, status, f"hidden (no_log) {HIDDEN}" if detail else "")
        return Outcome(step.role, step.task, status, self.mask(detail).strip(), step.item, diff)

    def _unknown(self, completed: Completed) -> str:
        said = self.mask(completed.stderr).strip()[-2000:]
        return f"state unknown: the host did not report it (status {completed.status}){': ' + said if said else ''}"


@dataclass(slots=True)
class _Said:
    status: Status | None = None
    text: str = ""
    before: bytes | None = None
    after: bytes | None = None


def report_lines(stdout: str) -> dict[str, _Said]:
    """Collect the report's lines by step; lines of anything else are passed over."""
    said: dict[str, _Said] = {}
    for line in stdout.splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            continue
        step, status, packed = match.groups()
        entry = said.setdefault(step, _Said())
        data = _unpacked(packed)
        if status == "before":
            entry.before = data
        elif status == "after":
            entry.after = data
        elif entry.status is None and status:
            entry.status, entry.text = _status(status), data.decode(errors="replace")
        elif status and status != entry.status:
            entry.status, entry.text = "failed", "the host reported this step twice, differently"
    return said


def _status(word: str) -> Status:
    return next(known for known in STATUSES if known == word)


STATUSES: Sequence[Status] = ("ok", "changed", "failed", "skipped")


def _unpacked(packed: str) -> bytes:
    try:
        return base64.b64decode(packed, validate=True)
    except binascii.Error:
        return b""


def _diff(before: bytes, after: bytes) -> str:
    old, new = before.decode(errors="replace"), after.decode(errors="replace")
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "before", "after"))
