"""`apt` and `package` on hosts with dpkg. Never part of an undo: packages belong to the set-up of a device, not to a session."""

from __future__ import annotations

import re
from dataclasses import dataclass

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.resource import Resource
from support_tunnel.desired.shell import TRUE, Code, all_of, call, negate

__all__ = ["Packages", "read_packages"]

NAME = r"[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?"


@dataclass(frozen=True, slots=True)
class Packages(Resource):
    names: tuple[str, ...]
    present: bool
    update: bool
    recommends: bool | None

    def undoable(self) -> bool:
        return False

    def check(self) -> Code:
        return call("st_installed", *self.names) if self.present else negate(call("st_any_installed", *self.names))

    def fix(self) -> Code:
        recommends = (
            () if self.recommends is None else ("-o", f"APT::Install-Recommends={'yes' if self.recommends else 'no'}")
        )
        verb = "install" if self.present else "remove"
        return all_of(
            call("st_apt", "update") if self.update else TRUE,
            call("st_apt", *recommends, verb, "--", *self.names),
        )


def read_packages(args: Arguments) -> Resource:
    names = args.texts("name", "pkg", "package")
    if not names:
        raise args.wrong("name", "'name' is required")
    update = args.flag("update_cache", default=False)
    args.number("cache_valid_time")  # decides when Ansible refreshes; we refresh only when something is missing
    present = args.choice("state", ("present", "absent"), "present") == "present"
    return Packages(
        tuple(_name(args, name) for name in names), present, update, args.optional_flag("install_recommends")
    )


def _name(args: Arguments, name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise args.wrong(
            "name", f"{name!r} is not a package name; versions and patterns are outside the supported subset"
        )
    return name
