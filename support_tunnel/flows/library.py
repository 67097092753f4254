"""Where roles and templates lie; handed to each flow that applies one."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.core.ports import Shell
from support_tunnel.desired import FactsNeeded, Report, read_facts

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
        """Apply roles to `host` in one round trip, or two when they name `ansible_facts`. Raises HostError `converge.failed` naming the task that failed."""
        from support_tunnel.desired import compile_roles  # here: most verbs that are handed a library never open it

        compiled = functools.partial(compile_roles, self.roles, names, variables, templates=self.templates, undo=undo)
        try:
            plan = compiled()
        except FactsNeeded:
            plan = compiled(facts=read_facts(shell))
        report = plan.report(shell.run_script(plan.script, timeout=timeout))
        report.raise_for_failure(host)
        return report
