"""What `fab converge` prints: each task, the differences, a recap like Ansible's; or the same as one line of JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from support_tunnel.adapters.terminal import printable
from support_tunnel.cli.output import emit, line
from support_tunnel.desired.plan import Outcome as Task
from support_tunnel.flows.admin.converge import Outcome

__all__ = ["show", "word"]


def word(outcome: Outcome) -> str:
    """One word for a host."""
    if outcome.unreachable:
        return "unreachable"
    if outcome.failed:
        return "failed"
    return "changed" if outcome.changed else "ok"


def show(outcomes: Sequence[Outcome], roles: Sequence[str], *, check: bool, as_json: bool) -> None:
    if as_json:
        emit({"roles": roles, "check": check, "hosts": {outcome.host: _described(outcome) for outcome in outcomes}})
        return
    for outcome in outcomes:
        line(outcome.host)
        for text in _lines(outcome):
            line(f"  {printable(text)}")
    width = max(len(outcome.host) for outcome in outcomes)
    line("recap" + (" (check: nothing was changed)" if check else ""))
    for outcome in outcomes:
        counts = " ".join(f"{name}={number}" for name, number in _counts(outcome).items())
        line(f"{outcome.host:{width}} : {counts}")


def _lines(outcome: Outcome) -> list[str]:
    if outcome.report is None:
        error = outcome.error
        return (
            []
            if error is None
            else [f"{word(outcome)} {error.message}", *([f"    {error.next_step}"] if error.next_step else [])]
        )
    lines = []
    for task in outcome.report.outcomes:
        item = f" ({task.item})" if task.item else ""
        lines.append(f"{task.status:8} {task.role + ': ' if task.role else ''}{task.task}{item}")
        if task.status == "failed":
            lines += [f"    {text}" for text in task.detail.splitlines()]
        lines += [f"    {text}" for text in task.diff.splitlines()]
    return lines


def _counts(outcome: Outcome) -> Mapping[str, int]:
    """As Ansible counts: a change is also ok."""
    tasks = outcome.report.outcomes if outcome.report else ()
    seen = Counter(task.status for task in tasks)
    return {
        "ok": seen["ok"] + seen["changed"],
        "changed": seen["changed"],
        "unreachable": int(outcome.unreachable),
        "failed": seen["failed"] + int(outcome.report is None and not outcome.unreachable),
        "skipped": seen["skipped"],
    }


def _described(outcome: Outcome) -> Mapping[str, object]:
    about: dict[str, object] = {"status": word(outcome), "counts": _counts(outcome)}
    if outcome.error is not None:
        about["error"] = {"code": outcome.error.code, "message": outcome.error.message}
    about["tasks"] = [_task(task) for task in outcome.report.outcomes] if outcome.report else []
    return about


def _task(task: Task) -> Mapping[str, object]:
    told = {"role": task.role, "task": task.task, "item": task.item, "status": task.status}
    return {**told, **{key: text for key, text in (("detail", task.detail), ("diff", task.diff)) if text}}
