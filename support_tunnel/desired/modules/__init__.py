"""The modules a role may use, by their short names, and every argument of each that some reader reads.

A new one: write its resource, name its reader and its arguments here, describe it in docs/roles.md, and have a role of
tests/desired/covered.py use all of it beside Ansible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.modules.accounts import read_group, read_user
from support_tunnel.desired.modules.archives import read_unarchive
from support_tunnel.desired.modules.commands import FREE_FORM, read_command, read_shell
from support_tunnel.desired.modules.downloads import read_get_url
from support_tunnel.desired.modules.files import read_copy, read_file, read_template
from support_tunnel.desired.modules.lineinfile import read_lineinfile
from support_tunnel.desired.modules.packages import read_packages
from support_tunnel.desired.modules.services import read_service
from support_tunnel.desired.modules.statements import read_assert, read_debug
from support_tunnel.desired.resource import Resource, Statement

__all__ = ["IMPORT", "MODULES", "Module"]


@dataclass(frozen=True, slots=True)
class Module:
    """`arguments`: the names, aliases too; any other is refused before a value is looked at."""

    read: Callable[[Arguments], Resource | Statement]
    arguments: frozenset[str]


def _module(read: Callable[[Arguments], Resource | Statement], arguments: str) -> Module:
    return Module(read, frozenset(arguments.split()))


_OWNED = "mode owner group"
_PACKAGES = _module(read_packages, "name pkg package state update_cache cache_valid_time install_recommends")
_UNIT = _module(read_service, "name service unit state enabled daemon_reload daemon-reload")
_RUN = f"{FREE_FORM} cmd creates removes chdir stdin stdin_add_newline"

MODULES: Mapping[str, Module] = {
    "apt": _PACKAGES,
    "assert": _module(read_assert, "that fail_msg msg success_msg quiet"),
    "command": _module(read_command, f"{_RUN} argv expand_argument_vars"),
    "copy": _module(read_copy, f"dest content src {_OWNED}"),
    "debug": _module(read_debug, "msg verbosity"),
    "file": _module(read_file, f"path dest name state src {_OWNED}"),
    "get_url": _module(read_get_url, f"url dest checksum {_OWNED}"),
    "group": _module(read_group, "name gid system state"),
    "lineinfile": _module(read_lineinfile, f"path dest destfile name regexp regex line value state create {_OWNED}"),
    "package": _module(read_packages, "name state"),
    "service": _module(read_service, "name state enabled"),
    "shell": _module(read_shell, _RUN),
    "systemd": _UNIT,
    "systemd_service": _UNIT,
    "template": _module(read_template, f"src dest {_OWNED}"),
    "unarchive": _module(read_unarchive, "src dest remote_src creates owner group"),
    "user": _module(
        read_user,
        "name user state uid group groups append system home create_home shell comment password remove force",
    ),
}

IMPORT = "import_tasks"
"""Not a module: what it names is read in its place. Its one argument is `file`, or the bare name."""
