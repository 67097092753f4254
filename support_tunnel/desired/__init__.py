"""Ansible-format roles, compiled to one POSIX script, and what came of it. Touches nothing but the role folders it reads."""

from __future__ import annotations

from support_tunnel.desired.compile import compile_roles
from support_tunnel.desired.facts import FactsNeeded, read_facts
from support_tunnel.desired.plan import Outcome, Plan, Report
from support_tunnel.desired.undo import undo_report, undo_script

__all__ = ["FactsNeeded", "Outcome", "Plan", "Report", "compile_roles", "read_facts", "undo_report", "undo_script"]
