"""Where roles and templates lie; handed to each flow that applies one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.core.ports import Shell
from support_tunnel.desired import Report, compile_roles

__all__ = ["Library"]


@dataclass(frozen=True, slots=True)
class Library:
    roles: Path
    templates: Path

    def converge(
        self,
        shell: Shell,
        names: Sequence[str],
        variables: Mapping[str, object],
        *,
        host: str,
        timeout: float,
        undo: str | None = None,
    ) -> Report:
        """Apply roles to `host` in one round trip. Raises HostError `converge.failed` naming the task that failed."""
        plan = compile_roles(self.roles, names, variables, templates=self.templates, undo=undo)
        report = plan.report(shell.run_script(plan.script, timeout=timeout))
        report.raise_for_failure(host)
        return report
