"""The script that puts back what an undo journal describes. It needs the folder's name only, not the roles that filled it."""

from __future__ import annotations

import posixpath

from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.desired.plan import Outcome, Report, report_lines
from support_tunnel.desired.script import assemble, settings
from support_tunnel.desired.shell import call

__all__ = ["check_folder", "undo_report", "undo_script"]


def undo_script(folder: str) -> Secret[str]:
    """Compile the undo of everything recorded in `folder` on the host. No such folder: nothing to do, and that is success."""
    check_folder(folder)
    head = settings(check=False, journal=folder, run_folder=folder)
    return assemble(head, ["apply.sh", "journal.sh", "undo.sh"], [call("st_undo"), call("st_end_undo")])


def undo_report(completed: Completed) -> Report:
    """Read what the undo printed; without its last line it counts as failed."""
    said = report_lines(completed.stdout)
    outcomes = [
        Outcome("undo", entry.text if entry.status == "changed" else f"journal entry {name}", entry.status, entry.text)
        for name, entry in said.items()
        if name != "end" and entry.status is not None
    ]
    complete = "end" in said and completed.status == 0
    if not complete and not any(outcome.status == "failed" for outcome in outcomes):
        detail = f"state unknown: the undo did not run to its end (status {completed.status})"
        outcomes.append(Outcome("undo", "the end of the undo", "failed", detail))
    return Report(tuple(outcomes))


def check_folder(folder: str) -> None:
    """Refuse a journal folder that is no plain absolute path. Raises UsageError `role.journal`."""
    if not folder.startswith("/") or posixpath.normpath(folder) != folder or posixpath.dirname(folder) == "/":
        raise UsageError("role.journal", "the undo journal is an absolute path below a folder that exists")
