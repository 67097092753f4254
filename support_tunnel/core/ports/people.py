"""The person at the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

from support_tunnel.core.secret import Secret

if TYPE_CHECKING:
    from support_tunnel.core.owner_screens import Introduction

__all__ = ["Progress", "Prompt", "Question", "SecretPrompt"]


Question = Literal["digits", "decision", "advance"]
"""What an owner is asked: the six digits, yes or no, approval before anybody has answered."""


class Prompt(Protocol):
    """The owner, at this terminal or behind a program of theirs. Raises UsageError `prompt.terminal`, `prompt.closed`."""

    def show(self, text: str) -> None: ...

    def introduce(self, who: Introduction) -> None:
        """Show who asks to be let in, and for what; a question about it follows."""
        ...

    def ask(self, question: str, *, about: Question, timeout: float, stopped: Callable[[], bool]) -> str:
        """One line as typed within `timeout` seconds; raises ConsentRefused `consent.timeout` when nothing comes.

        `stopped` is looked at about once a second; once it holds, ConsentRefused `consent.stopped` is raised.
        """
        ...


class SecretPrompt(Protocol):
    """The person at this terminal who has a code. Raises UsageError `prompt.terminal` when there is nobody to ask."""

    def show(self, text: str) -> None: ...

    def ask_secret(self, question: str, *, wants_more: Callable[[str], bool] | None = None) -> Secret[str]:
        """One line without echo; further lines while `wants_more` of what is there, until an empty one."""
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
