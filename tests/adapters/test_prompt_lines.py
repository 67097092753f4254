"""The owner behind a program of theirs: only what is written after a question answers it, and every way of silence is an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from support_tunnel.adapters.prompt_lines import LinesPrompt
from support_tunnel.core.errors import ConsentRefused, UsageError
from support_tunnel.core.login_key import fingerprint
from support_tunnel.core.owner_screens import Introduction
from support_tunnel.core.ports import Prompt
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1.people import Helper
from tests.core.test_login_key import ED25519, P256


class Program:
    """What runs the tool: it hears events, and writes `answers` one at each question."""

    def __init__(self, *answers: str) -> None:
        self.read, self.write = os.pipe()
        self._answers = list(answers)
        self.heard: list[dict[str, Any]] = []
        self.prompt: Prompt = LinesPrompt(self._tell, self.read)

    def _tell(self, event: dict[str, object]) -> None:
        self.heard.append(event)
        if event["event"] == "question" and self._answers:
            self.says(self._answers.pop(0))

    def says(self, text: str) -> None:
        os.write(self.write, text.encode())

    def asked(self, *, timeout: float = 5, stopped: bool = False) -> str:
        return self.prompt.ask("Let them in? ", about="decision", timeout=timeout, stopped=lambda: stopped)

    def close(self) -> None:
        for descriptor in (self.read, self.write):
            os.close(descriptor)


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[Program] = []

    def program(*answers: str) -> Program:
        made.append(Program(*answers))
        return made[-1]

    yield program
    for one in made:
        one.close()


def test_each_question_is_an_event_and_takes_one_line(make: Any) -> None:
    program = make("123 456\n", "yes\n")
    assert [program.asked(), program.asked()] == ["123 456", "yes"]
    assert program.heard == [{"event": "question", "about": "decision", "text": "Let them in?"}] * 2


def test_who_asks_comes_with_each_helper_and_the_fingerprint_of_their_key(make: Any) -> None:
    program = make()
    helpers = (Helper("Bea", ED25519), Helper("Cem", P256))
    until = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
    program.prompt.introduce(Introduction("Ann", None, "", "SHA256:x", 0, None, Scope("shell"), 600, until, helpers))
    (event,) = program.heard
    assert event["helpers"] == [{"name": one.name, "fingerprint": fingerprint(one.key)} for one in helpers]
    assert ED25519 not in str(event)


def test_an_answer_that_was_there_before_its_question_is_none(make: Any) -> None:
    """`printf 'skip\\nyes\\n' | inv ...` would otherwise be the blanket yes that there is not."""
    program = make()
    program.says("skip\nyes\n")
    with pytest.raises(ConsentRefused) as nobody:
        program.asked(timeout=0.1)
    assert nobody.value.code == "consent.timeout"


def test_the_second_of_two_lines_answers_no_later_question(make: Any) -> None:
    program = make("no\nyes\n")
    assert program.asked() == "no"
    with pytest.raises(ConsentRefused):
        program.asked(timeout=0.1)


def test_a_program_that_has_gone_answers_nothing() -> None:
    gone = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(UsageError) as closed:
            LinesPrompt(lambda event: None, gone).ask("? ", about="digits", timeout=5, stopped=lambda: False)
        assert closed.value.code == "prompt.closed"
    finally:
        os.close(gone)


def test_a_line_without_an_end_is_none(make: Any) -> None:
    program = make("y" * 1000)
    with pytest.raises(UsageError) as endless:
        program.asked()
    assert endless.value.code == "prompt.closed"


def test_a_stop_ends_the_question(make: Any) -> None:
    with pytest.raises(ConsentRefused) as stopped:
        make().asked(timeout=60, stopped=True)
    assert stopped.value.code == "consent.stopped"
