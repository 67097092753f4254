"""`systemd_service`, `systemd` and `service`: whether a unit runs, whether it starts at boot, and reloading systemd itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from support_tunnel.desired.arguments import Arguments
from support_tunnel.desired.resource import Resource, key
from support_tunnel.desired.shell import FALSE, TRUE, Code, all_of, call

__all__ = ["Reload", "Service", "read_service"]

NAME = r"[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,254}"


@dataclass(frozen=True, slots=True)
class Service(Resource):
    """A unit. `state` and `enabled` of None mean: whatever it is."""

    name: str
    state: Literal["started", "stopped", "restarted", "reloaded"] | None
    enabled: bool | None
    reload_systemd: bool

    def check(self) -> Code:
        if self.state in ("restarted", "reloaded"):
            return FALSE
        return all_of(
            call("st_systemd_is_current") if self.reload_systemd else TRUE,
            call("st_unit", self.name),
            TRUE if self.enabled is None else call("st_unit_enabled", "yes" if self.enabled else "no"),
            TRUE if self.state is None else call("st_unit_active", "yes" if self.state == "started" else "no"),
        )

    def fix(self) -> Code:
        verb = {"started": "start", "stopped": "stop", "restarted": "restart", "reloaded": "reload-or-restart"}
        return all_of(
            call("st_run", "systemctl", "daemon-reload") if self.reload_systemd else TRUE,
            TRUE if self.enabled is None else call("st_enable", "enable" if self.enabled else "disable", self.name),
            TRUE if self.state is None else call("st_run", "systemctl", verb[self.state], "--", self.name),
        )

    def record(self) -> Code:
        return call("st_record_unit", key("unit", self.name), self.name)


@dataclass(frozen=True, slots=True)
class Reload(Resource):
    """`daemon_reload` alone: always done and never a change, as with Ansible."""

    def check(self) -> Code:
        return FALSE

    def fix(self) -> Code:
        return call("st_run", "systemctl", "daemon-reload")

    def record(self) -> Code:
        return call("st_record_reload", key("reload", ""))

    def reports(self) -> Literal["changed", "ok"]:
        return "ok"

    def in_check_mode(self) -> Literal["changed", "ok", "skipped"]:
        return "ok"


def read_service(args: Arguments) -> Resource:
    reload_systemd = args.flag("daemon_reload", default=False) or args.flag("daemon-reload", default=False)
    if args.raw("name", "service", "unit") is None and reload_systemd:
        return Reload()
    name = args.name(NAME, "name", "service", "unit")
    enabled = args.optional_flag("enabled")
    states: tuple[Literal["started", "stopped", "restarted", "reloaded"], ...] = (
        "started",
        "stopped",
        "restarted",
        "reloaded",
    )
    given = args.raw("state")
    state = next((known for known in states if known == given), None)
    if given is not None and state is None:
        raise args.at("state").unsupported(f"'state: {given}' of module '{args.module}'")
    if state is None and enabled is None:
        raise args.wrong("name", "give 'state' or 'enabled'")
    return Service(name, state, enabled, reload_systemd)
