"""The owner's own scripts around a session: when each runs, and what it is told.

What it is told follows from the tunnel's id alone, so nothing the other side sent reaches a script; and a script is started
from an argument list, so nothing is ever read as shell text.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final, Literal

from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import TunnelId

__all__ = ["MOMENTS", "HookCommand", "HookContext", "Moment"]

Moment = Literal["pre-up", "post-up", "pre-down", "post-down"]
MOMENTS: Final[tuple[Moment, ...]] = ("pre-up", "post-up", "pre-down", "post-down")

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


@dataclass(frozen=True, slots=True)
class HookContext:
    tunnel: TunnelId
    interface: str
    address: str
    network: str
    user: str

    def values(self) -> dict[str, str]:
        """By the names that stand between braces in the settings."""
        return {
            "id": self.tunnel,
            "iface": self.interface,
            "ip": self.address,
            "net": self.network,
            "user": self.user,
        }

    def environment(self) -> dict[str, str]:
        return {f"SUPPORT_TUNNEL_{name.upper()}": value for name, value in self.values().items()}


_KNOWN: Final = tuple(HookContext(TunnelId(""), "", "", "", "").values())


@dataclass(frozen=True, slots=True)
class HookCommand:
    """An executable and its arguments as the settings give them, braces unfilled."""

    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> HookCommand:
        """Split as a shell would, and let no shell near it. Raises UsageError `config.hook`."""
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise UsageError("config.hook", f"{text!r} cannot be split into words: {error}") from None
        if not words or not words[0].startswith("/"):
            raise UsageError("config.hook", f"{text!r} does not begin with the whole path of a program")
        for word in words:
            for name in _PLACEHOLDER.findall(word):
                if name not in _KNOWN:
                    raise UsageError(
                        "config.hook",
                        f"{{{name}}} stands for nothing",
                        next_step=f"There are: {', '.join(f'{{{known}}}' for known in _KNOWN)}.",
                    )
        return cls(words)

    def argv(self, context: HookContext) -> list[str]:
        """Each word stays one argument, whatever is filled in."""
        values = context.values()
        return [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in self.words]
