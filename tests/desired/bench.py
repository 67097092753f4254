"""A scratch host for compiled roles: a folder that stands for it, and a real shell to run what was compiled."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.desired import Plan, Report, compile_roles, undo_report, undo_script

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "ash"]}
Tree = dict[str, tuple[object, ...]]


@dataclass
class Bench:
    """A folder of roles, a folder that stands for the host, and one shell."""

    base: Path
    shell: list[str]
    path: str = os.environ["PATH"]

    @property
    def root(self) -> Path:
        return self.base / "host"

    @property
    def journal(self) -> Path:
        return self.base / "journal/of/ours"

    def role(self, tasks: str, name: str = "demo", **parts: str) -> None:
        """Write a role; `parts` are other files, with `__` for a slash: `handlers__main`, `templates__x`."""
        files = {"tasks/main.yml": tasks}
        for part, text in parts.items():
            folder, _, file = part.partition("__")
            files[f"{folder}/{file}" + ("" if folder in ("templates", "files") else ".yml")] = text
        for file, text in files.items():
            target = self.base / "roles" / name / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def plan(
        self,
        variables: Mapping[str, object] | None = None,
        *names: str,
        check: bool = False,
        diff: bool = False,
        undo: bool = False,
    ) -> Plan:
        return compile_roles(
            self.base / "roles",
            names or ["demo"],
            {"root": str(self.root), **(variables or {})},
            templates=self.base / "templates",
            check=check,
            diff=diff,
            undo=str(self.journal) if undo else None,
            run_folder=str(self.base / "run"),
        )

    def run(self, script: Secret[str]) -> Completed:
        done = subprocess.run(
            [*self.shell, "-s"],
            input=script.reveal(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": self.path},
            start_new_session=True,
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    def apply(self, variables: Mapping[str, object] | None = None, **how: bool) -> Report:
        plan = self.plan(variables, **how)
        return plan.report(self.run(plan.script))

    def undo(self) -> Report:
        return undo_report(self.run(undo_script(str(self.journal))))

    def tree(self) -> Tree:
        return tree(self.root)


def make_bench(base: Path, shell: str) -> Bench:
    """A bench below an empty folder. No test can cut the power, so none waits for disks: `sync` succeeds at once."""
    patient = base / "patient"
    patient.mkdir(parents=True)
    (patient / "sync").symlink_to("/bin/true")
    bench = Bench(base, SHELLS[shell], path=f"{patient}:{os.environ['PATH']}")
    bench.root.mkdir()
    assert shutil.which(bench.shell[0]), f"{bench.shell[0]} is missing; ./test installs it"
    return bench


def tree(root: Path) -> Tree:
    """Everything below a folder: kind, mode, owner, group, content; times aside."""
    found: Tree = {}
    for path in [root, *sorted(root.rglob("*"))]:
        about = path.lstat()
        content: object = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        kind = stat.S_IFMT(about.st_mode)
        found[str(path.relative_to(root))] = (kind, stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, content)
    return found


def statuses(report: Report) -> list[str]:
    return [outcome.status for outcome in report.outcomes]
