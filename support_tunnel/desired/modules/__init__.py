"""The modules a role may use, by their short names. A new one: write its resource, name its reader here, document it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.modules.accounts import read_group, read_user
from support_tunnel.desired.modules.commands import read_command, read_shell
from support_tunnel.desired.modules.files import read_copy, read_file, read_template
from support_tunnel.desired.modules.lineinfile import read_lineinfile
from support_tunnel.desired.modules.packages import read_packages
from support_tunnel.desired.modules.services import read_service
from support_tunnel.desired.modules.statements import read_assert, read_debug
from support_tunnel.desired.resource import Resource, Statement

__all__ = ["MODULES"]

MODULES: Mapping[str, Callable[[Arguments], Resource | Statement]] = {
    "apt": read_packages,
    "assert": read_assert,
    "command": read_command,
    "copy": read_copy,
    "debug": read_debug,
    "file": read_file,
    "group": read_group,
    "lineinfile": read_lineinfile,
    "package": read_packages,
    "service": read_service,
    "shell": read_shell,
    "systemd": read_service,
    "systemd_service": read_service,
    "template": read_template,
    "user": read_user,
}
