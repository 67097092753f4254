"""The person at the terminal."""

from __future__ import annotations

from typing import Protocol

from support_tunnel.core.secret import Secret

__all__ = ["Progress", "Prompt"]


class Prompt(Protocol):
    """The person at this terminal. Raises UsageError `prompt.terminal` when there is nobody to ask."""

    def show(self, text: str) -> None: ...

    def ask(self, question: str, *, timeout: float) -> str:
        """One line as typed; raises ConsentRefused `consent.timeout` when nothing comes."""
        ...

    def ask_secret(self, question: str) -> Secret[str]:
        """One line without echo."""
        ...


class Progress(Protocol):
    """Live step list on stderr."""

    def step(self, text: str) -> None:
        """A step begins; the one before has ended."""
        ...

    def note(self, text: str) -> None:
        """A line that stays on the screen."""
        ...

    def end(self) -> None:
        """The last step has ended."""
        ...
