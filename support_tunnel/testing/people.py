"""The person at the terminal and the step list they look at, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from support_tunnel.core import owner_screens
from support_tunnel.core.errors import ConsentRefused
from support_tunnel.core.owner_screens import Introduction
from support_tunnel.core.ports import Question
from support_tunnel.core.secret import Secret

__all__ = ["RecordedProgress", "ScriptedPrompt"]


class ScriptedPrompt:
    """`ports.Prompt` and `ports.SecretPrompt`: gives `answers` in order (a callable is given the question), then is somebody who went away.

    `shown` and `asked` keep what the person saw.
    """

    def __init__(self, answers: Iterable[str | Callable[[str], str]] = ()) -> None:
        self._answers = list(answers)
        self.shown: list[str] = []
        self.asked: list[str] = []

    @property
    def is_away(self) -> bool:
        return not self._answers

    def show(self, text: str) -> None:
        self.shown.append(text)

    def introduce(self, who: Introduction) -> None:
        self.shown.append(owner_screens.asking(who))

    def ask(self, question: str, *, about: Question, timeout: float, stopped: Callable[[], bool]) -> str:
        return self._next(question, timeout)

    def _next(self, question: str, timeout: float) -> str:
        self.asked.append(question)
        if not self._answers:
            raise ConsentRefused("consent.timeout", f"nobody answered within {timeout:g} seconds")
        answer = self._answers.pop(0)
        return answer(question) if callable(answer) else answer

    def ask_secret(self, question: str, *, wants_more: Callable[[str], bool] | None = None) -> Secret[str]:
        typed = self._next(question, 0)
        while wants_more is not None and wants_more(typed) and (line := self._next("", 0)):
            typed += "\n" + line
        return Secret(typed)


class RecordedProgress:
    """`ports.Progress` that keeps the texts and whether the last step was ended."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []
        self.running = False

    def step(self, text: str) -> None:
        self.steps.append(text)
        self.running = True

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None:
        self.running = False
