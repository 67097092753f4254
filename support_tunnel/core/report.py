"""What was done at the end of a tunnel, step by step, and what could not be: shown to the admin, kept beside the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["Report", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """`words` say what was found or, where it is not `done`, why not."""

    what: str
    done: bool
    words: str = ""

    def __str__(self) -> str:
        said = f": {self.words}" if self.words else ""
        return f"{self.what}{said}" if self.done else f"NOT DONE: {self.what}{said}"


@dataclass(frozen=True, slots=True)
class Report:
    tunnel: str
    """Its id; of one that another admin began, the first 8 digits of it."""
    ticket: str
    at: datetime
    steps: tuple[Step, ...]

    @property
    def complete(self) -> bool:
        return all(step.done for step in self.steps)

    def to_dict(self) -> dict[str, object]:
        return {
            "tunnel_id": self.tunnel,
            "ticket": self.ticket,
            "at": self.at.isoformat(timespec="seconds"),
            "complete": self.complete,
            "steps": [{"what": step.what, "done": step.done, "words": step.words} for step in self.steps],
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Report:
        """Raises ValueError for what `to_dict` did not make."""
        try:
            steps = tuple(Step(str(step["what"]), step["done"] is True, str(step["words"])) for step in said["steps"])
            if not re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{32}", said["tunnel_id"]):
                raise ValueError("it names no tunnel")
            return cls(said["tunnel_id"], str(said["ticket"]), datetime.fromisoformat(said["at"]), steps)
        except (LookupError, TypeError, AttributeError):
            raise ValueError("this is no report of an ending") from None
