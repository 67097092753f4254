"""What a role may know of its host before it is compiled: `ansible_facts`, asked for only when a template names it.

The values come from the host, so they are data: never rendered, and quoted like every other word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Shell
from support_tunnel.core.secret import Secret
from support_tunnel.desired.probes import read

__all__ = ["FACTS", "VARIABLE", "FactsNeeded", "read_facts"]

VARIABLE = "ansible_facts"
FACTS = ("architecture", "distribution", "distribution_major_version", "service_mgr")
PLAIN = re.compile(r"[A-Za-z0-9._-]{1,40}")
PATIENCE = 60.0
"""Seconds."""

_SCRIPT = Secret(
    r"""machine=$(uname -m)
case $machine in i[3456]86) machine=i386 ;; esac
printf 'architecture\t%s\n' "$machine"
ID='' VERSION_ID=''
[ ! -r /etc/os-release ] || . /etc/os-release
case $ID in
    debian) printf 'distribution\tDebian\n' ;;
    ubuntu) printf 'distribution\tUbuntu\n' ;;
esac
printf 'distribution_major_version\t%s\n' "${VERSION_ID%%.*}"
[ ! -d /run/systemd/system ] || printf 'service_mgr\tsystemd\n'
"""
)


class FactsNeeded(UsageError):
    """A role names `ansible_facts`, and its host has not been asked yet."""

    def __init__(self) -> None:
        super().__init__("role.facts", f"a role uses {VARIABLE}, which only its host can tell")


def read_facts(shell: Shell) -> Mapping[str, str]:
    """Ask a host, in one round trip. What it does not tell plainly is left out, and is then an undefined name to a role.

    Raises HostError `probe.failed`.
    """
    said = read(shell, _SCRIPT, timeout=PATIENCE)
    return {name: said[name] for name in FACTS if PLAIN.fullmatch(said.get(name, ""))}
