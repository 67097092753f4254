"""Ansible-format roles, compiled to one POSIX script, and what came of it. Touches nothing but the role folders it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support_tunnel.desired.facts import FactsNeeded, read_facts
from support_tunnel.desired.plan import Outcome, Plan, Report
from support_tunnel.desired.undo import undo_report, undo_script

if TYPE_CHECKING:
    from support_tunnel.desired.compile import compile_roles
else:

    def __getattr__(name: str) -> object:
        """Load the compiler, with Jinja2 and YAML, for who compiles: a keeper, or a verb that only looks and ends, starts without."""
        if name != "compile_roles":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from support_tunnel.desired.compile import compile_roles

        return compile_roles


__all__ = ["FactsNeeded", "Outcome", "Plan", "Report", "compile_roles", "read_facts", "undo_report", "undo_script"]
