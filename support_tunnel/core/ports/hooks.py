"""The owner's own scripts around a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from support_tunnel.core.hooks import HookContext, Moment

__all__ = ["HookRun", "Hooks"]


@dataclass(frozen=True, slots=True)
class HookRun:
    """A script that ran to its end; a non-zero status is data here, the flow decides. `output`: its last words."""

    status: int
    output: str


class Hooks(Protocol):
    def run(self, moment: Moment, context: HookContext) -> HookRun | None:
        """None when no script is set. Raises UsageError `hook.*` for one that others could change, HostError `hook.timeout`."""
        ...
