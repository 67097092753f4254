"""What a tunnel may do, as a partial order: a grant is compared with what the owner offered, never merged with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from support_tunnel.core.errors import UsageError

__all__ = ["MAX_PORTS", "Level", "Scope"]

Level = Literal["view", "shell", "root"]
_LEVELS: Final[tuple[Level, ...]] = get_args(Level)
MAX_PORTS: Final = 16
_WORDS: Final[dict[Level, str]] = {
    "view": "look at files and logs, change nothing",
    "shell": "work as an ordinary user, without the rights of root",
    "root": "do anything on this device as root, also what outlasts the session or escapes its recording",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Raises UsageError `scope.*` for a scope that cannot be; `ports` is kept sorted and without doubles."""

    level: Level
    ports: tuple[int, ...] = ()
    """TCP ports on the device's loopback that may be forwarded."""
    files: bool = False
    """Whether files may be copied both ways."""

    def __post_init__(self) -> None:
        if self.level not in _LEVELS:
            raise UsageError("scope.level", f"a scope's level is one of {', '.join(_LEVELS)}")
        # bool is an int in Python: `true` for a port must not become port 1.
        if any(type(port) is not int or not 1 <= port <= 65535 for port in self.ports):
            raise UsageError("scope.ports", "a scope's ports are whole numbers from 1 to 65535")
        if len(self.ports) > MAX_PORTS:
            raise UsageError("scope.ports", f"a scope has at most {MAX_PORTS} ports")
        if type(self.files) is not bool:
            raise UsageError("scope.files", "a scope's files is true or false")
        object.__setattr__(self, "ports", tuple(sorted(set(self.ports))))

    def within(self, offered: Scope) -> bool:
        """Whether nothing in this scope exceeds `offered`."""
        return (
            _LEVELS.index(self.level) <= _LEVELS.index(offered.level)
            and set(self.ports) <= set(offered.ports)
            and (offered.files or not self.files)
        )

    def to_dict(self) -> dict[str, object]:
        """Canonical form, as in M1 and M2."""
        return {"files": self.files, "level": self.level, "ports": list(self.ports)}

    def words(self) -> str:
        """For the owner's screen."""
        text = _WORDS[self.level]
        if self.files:
            text += "; copy files to and from it"
        if self.ports:
            text += "; reach its own services on port " + ", ".join(map(str, self.ports))
        return text
