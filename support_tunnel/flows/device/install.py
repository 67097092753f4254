"""Make a device ready once, and take that back: its settings, and a clean-up at each boot. Opens nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from support_tunnel.core.ports import Shell
from support_tunnel.desired import probes
from support_tunnel.desired.device_units import remove_units
from support_tunnel.flows.library import Library

__all__ = ["install", "systemd_words", "uninstall"]


def install(shell: Shell, library: Library, variables: Mapping[str, object]) -> list[str]:
    """Apply both roles and return the names of the tasks that changed something; the same again changes nothing."""
    report = library.converge(shell, ("device_settings", "device_boot"), variables, host="this device", timeout=60)
    return [outcome.task for outcome in report.outcomes if outcome.status == "changed"]


def uninstall(shell: Shell) -> list[str]:
    """Remove the units and return their names. Settings and logs stay: they are the owner's."""
    return probes.read(shell, remove_units(), timeout=60).get("removed", "").split()


def systemd_words(words: Sequence[str]) -> str:
    """Write an argument list so that systemd reads exactly these words: no specifier, variable or quote of theirs counts."""
    return " ".join(f'"{_escaped(word)}"' for word in words)


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
