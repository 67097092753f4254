"""How long a tunnel lasts and how many there may be at once: what the admin's side allows itself, whatever an owner offers."""

from __future__ import annotations

from dataclasses import dataclass

from support_tunnel.core.errors import UsageError, WrongState

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Raises UsageError `config.limits` for limits that contradict each other."""

    usual: int = 30 * 60
    """Seconds of a session where nothing is asked for."""
    most: int = 4 * 3600
    """Seconds that may be asked for."""
    at_once: int = 5
    """Tunnels at the same moment: of this admin, and on one standing server of everybody's together."""

    def __post_init__(self) -> None:
        if not 60 <= self.usual <= self.most <= 24 * 3600:
            raise UsageError("config.limits", "tunnel_minutes is from 1 to tunnel_minutes_most, and that at most 1440")
        if not 1 <= self.at_once <= 1000:
            raise UsageError("config.limits", "tunnels_at_once is from 1 to 1000")

    def seconds(self, asked: int | None, offered: int) -> int:
        """How long the session may be. Raises UsageError `tunnel.minutes` for more than is allowed to be asked."""
        if asked is not None and asked > self.most:
            raise UsageError(
                "tunnel.minutes",
                f"a tunnel lasts {self.most // 60} minutes at most here",
                next_step=f"Ask for {self.most // 60} or less; tunnel_minutes_most in the inventory is the limit.",
            )
        return min(offered, asked or self.usual)

    def require_room(self, others: int, where: str) -> None:
        """Raises WrongState `tunnels.full`. `others` are there already, also what is left of ended ones."""
        if others >= self.at_once:
            raise WrongState(
                "tunnels.full",
                f"{others} tunnels are {where}, and {self.at_once} at once are allowed (tunnels_at_once)",
                next_step="End one (`fab tunnel.list`, `fab tunnel.close`), or run `fab sweep` for what is left of dead ones.",
            )
