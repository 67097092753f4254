"""The owner's scripts, for tests: what each says is written down beforehand, and that it ran afterwards."""

from __future__ import annotations

from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.core.hooks import HookContext, Moment
from support_tunnel.core.ports import HookRun

__all__ = ["FakeHooks"]


class FakeHooks:
    """`ports.Hooks`: `says` what each script that is set comes to (an error is raised); `ran` keeps every run."""

    def __init__(self) -> None:
        self.says: dict[Moment, HookRun | SupportTunnelError] = {}
        self.ran: list[tuple[Moment, HookContext]] = []

    def run(self, moment: Moment, context: HookContext) -> HookRun | None:
        came = self.says.get(moment)
        if came is None:
            return None
        self.ran.append((moment, context))
        if isinstance(came, SupportTunnelError):
            raise came
        return came
