"""Where something was written down, so that every refusal can say file and line."""

from __future__ import annotations

from dataclasses import dataclass

from support_tunnel.core.errors import UsageError

__all__ = ["Place"]

REFERENCE = "docs/roles.md"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a role's file, as people name it: `roles/x/tasks/main.yml:14`."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def wrong(self, code: str, words: str) -> UsageError:
        """Make the error for a mistake at this place."""
        return UsageError(code, f"{self}: {words}", next_step=f"Change {self.file}, line {self.line}.")

    def unsupported(self, what: str) -> UsageError:
        """Make the error for something Ansible has and we have not: refused before anything is sent."""
        return UsageError(
            "role.unsupported",
            f"{self}: {what} is outside the supported subset; see {REFERENCE}",
            next_step=f"Write it with what {REFERENCE} lists, or apply the role with ansible-playbook.",
        )
