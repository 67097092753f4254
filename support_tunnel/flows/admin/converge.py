"""Apply roles to many hosts. Everything is compiled before the first host hears of it: a mistake in a role stops all of it.

A role that names `ansible_facts` is the exception: each host is asked first, and what does not compile for it is its own trouble.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.ports import Shell
from support_tunnel.desired import FactsNeeded, Plan, Report, compile_roles, read_facts
from support_tunnel.flows.at_once import AtOnce
from support_tunnel.flows.library import Library

__all__ = ["Outcome", "Target", "converge"]

PATIENCE = 900.0
"""Seconds for one host, packages included."""


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    variables: Mapping[str, object]
    connect: Callable[[], AbstractContextManager[Shell]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one host: a report, or why there is none. A `role.*` error is a role that does not fit the host's facts."""

    host: str
    report: Report | None = None
    error: SupportTunnelError | None = None

    @property
    def failed(self) -> bool:
        return self.report is None or self.report.failed is not None

    @property
    def unreachable(self) -> bool:
        return self.report is None and not (self.error is not None and self.error.code.startswith("role."))

    @property
    def changed(self) -> bool:
        return self.report is not None and self.report.changed


Job = tuple[Target, Plan | None]
"""None: to be compiled when the host has told its facts."""


def converge(
    targets: Sequence[Target],
    roles: Sequence[str],
    library: Library,
    *,
    at_once: AtOnce,
    check: bool = False,
    diff: bool = False,
) -> Iterator[Outcome]:
    """Yield one outcome a host; a host that fails keeps no other from being done.

    Raises UsageError `role.*` before anything is sent.
    """

    def plan(target: Target, facts: Mapping[str, str] | None = None) -> Plan:
        return compile_roles(
            library.roles, roles, target.variables, templates=library.templates, check=check, diff=diff, facts=facts
        )

    def job(target: Target) -> Job:
        try:
            return target, plan(target)
        except FactsNeeded:
            return target, None

    def one(job: Job) -> Outcome:
        target, ready = job
        try:
            with target.connect() as shell:
                ready = ready or plan(target, read_facts(shell))
                return Outcome(target.name, ready.report(shell.run_script(ready.script, timeout=PATIENCE)))
        except SupportTunnelError as error:
            return Outcome(target.name, error=error)

    return at_once(one, [job(target) for target in targets])
