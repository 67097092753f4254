"""TerminalPrompt on a real pseudo-terminal: what the person sees, what counts as their answer."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

import support_tunnel
from support_tunnel.adapters import processes
from support_tunnel.adapters.terminal import TerminalPrompt, printable
from support_tunnel.cli.called import as_called
from support_tunnel.core.errors import ConsentRefused, UsageError
from support_tunnel.core.secret import Secret

HOSTILE = {
    "escape": "\x1b[2Jgone",
    "8-bit escape": "\x9b2J",
    "bell": "\x07",
    "backspace": "evil\b\b\b\bgood",
    "carriage return": "evil\rgood",
    "right to left": "\u202elive",
    "isolate": "\u2067live\u2069",
    "invisible": "ad\u200bmin",
    "byte order mark": "\ufeff",
    "line separator": "a\u2028b",
    "surrogate": "\udcff",
    "null": "\x00",
}


class Person:
    """The other end of a pseudo-terminal."""

    def __init__(self) -> None:
        self._fd, self.terminal = os.openpty()

    def open(self) -> int:
        return os.dup(self.terminal)

    def types(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def sees(self, last: str) -> str:
        """Read what is on the screen up to and including `last`."""
        seen = ""
        while last not in seen:
            seen += os.read(self._fd, 4096).decode()
        return seen

    def leaves(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def close(self) -> None:
        os.close(self.terminal)
        if self._fd >= 0:
            os.close(self._fd)


@pytest.fixture
def person() -> Iterator[Person]:
    made = Person()
    yield made
    made.close()


def test_a_screen_names_the_command_that_can_be_typed(person: Person) -> None:
    TerminalPrompt(terminal=person.open, wording=lambda text: as_called(text, checkout=False)).show("stop: inv stop")
    assert person.sees("\n") == "stop: support-tunnel stop\r\n"


@pytest.fixture
def prompt(person: Person) -> TerminalPrompt:
    return TerminalPrompt(terminal=person.open)


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_acts_is_shown_and_does_not_act(prompt: TerminalPrompt, person: Person, name: str) -> None:
    prompt.show(f"<{name}>")
    seen = person.sees(">").partition(">")[0]  # what follows is the terminal's own line break
    assert "\N{REPLACEMENT CHARACTER}" in seen
    assert seen.isprintable()


@given(st.text())
def test_nothing_but_seen_letters_and_line_breaks_is_left(text: str) -> None:
    assert all(letter.isprintable() or letter.isspace() for letter in printable(text))
    assert len(printable(text)) == len(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_names_of_all_scripts_are_left_alone(text: str) -> None:
    assert printable(text) == text


def test_the_answer_is_the_line_typed_after_the_question(
    prompt: TerminalPrompt, person: Person, beside: ThreadPoolExecutor
) -> None:
    """`yes` typed or pasted before the question is there must not be taken for consent to it."""
    person.types("yes\n")
    answer: Future[str] = beside.submit(
        prompt.ask, "Let them in? ", about="decision", timeout=60, stopped=lambda: False
    )
    person.sees("in? ")
    person.types("no, thank you\n")
    assert answer.result() == "no, thank you"


def test_no_answer_in_time_is_no_consent(prompt: TerminalPrompt) -> None:
    with pytest.raises(ConsentRefused) as caught:
        prompt.ask("Let them in? ", about="decision", timeout=0, stopped=lambda: False)
    assert caught.value.code == "consent.timeout"


def test_a_stop_ends_the_question(prompt: TerminalPrompt, person: Person, beside: ThreadPoolExecutor) -> None:
    stop = Event()
    answer: Future[str] = beside.submit(prompt.ask, "Let them in? ", about="decision", timeout=60, stopped=stop.is_set)
    person.sees("in? ")
    stop.set()
    refused = answer.exception()
    assert isinstance(refused, ConsentRefused)
    assert refused.code == "consent.stopped"


def test_half_a_line_is_no_answer(prompt: TerminalPrompt, person: Person, beside: ThreadPoolExecutor) -> None:
    answer: Future[str] = beside.submit(
        prompt.ask, "Let them in? ", about="decision", timeout=0.2, stopped=lambda: False
    )
    person.sees("in? ")
    person.types("yes")
    assert isinstance(answer.exception(), ConsentRefused)


@pytest.mark.parametrize("end", ["end of input", "window closed"])
def test_a_terminal_that_goes_away_is_no_answer(
    prompt: TerminalPrompt, person: Person, beside: ThreadPoolExecutor, end: str
) -> None:
    answer: Future[str] = beside.submit(
        prompt.ask, "Let them in? ", about="decision", timeout=60, stopped=lambda: False
    )
    person.sees("in? ")
    if end == "end of input":
        person.types("\x04")
    else:
        person.leaves()
    error = answer.exception()
    assert isinstance(error, UsageError)
    assert error.code == "prompt.terminal"


def test_a_secret_is_not_echoed_and_echo_comes_back(
    prompt: TerminalPrompt, person: Person, beside: ThreadPoolExecutor
) -> None:
    answer: Future[Secret[str]] = beside.submit(prompt.ask_secret, "Code: ")
    person.sees("Code: ")
    person.types("not for the screen\n")
    assert answer.result() == Secret("not for the screen")
    prompt.show("end")
    assert "screen" not in person.sees("end")
    assert termios.tcgetattr(person.terminal)[3] & termios.ECHO


@pytest.mark.parametrize(
    ("typed", "got"),
    [("one\ntwo\nthree\n", "one\ntwo\nthree"), ("one\n\n", "one"), ("three\n", "three")],
    ids=["all lines", "given up", "at once"],
)
def test_a_secret_of_several_lines_ends_when_it_is_whole_or_given_up(
    prompt: TerminalPrompt, person: Person, beside: ThreadPoolExecutor, typed: str, got: str
) -> None:
    def wants_more(text: str) -> bool:
        return "three" not in text

    answer: Future[Secret[str]] = beside.submit(prompt.ask_secret, "Words: ", wants_more=wants_more)
    person.sees("Words: ")
    person.types(typed)
    assert answer.result() == Secret(got)
    prompt.show("end")
    seen = person.sees("end")
    assert seen.count("an empty line ends it") == typed.count("\n") - 1
    assert "one" not in seen
    assert "two" not in seen
    assert termios.tcgetattr(person.terminal)[3] & termios.ECHO


def test_the_rest_of_a_paste_is_not_left_for_the_shell(
    prompt: TerminalPrompt, person: Person, beside: ThreadPoolExecutor
) -> None:
    answer: Future[Secret[str]] = beside.submit(prompt.ask_secret, "Code: ")
    person.sees("Code: ")
    person.types("first\nrm -rf ~\n")
    assert answer.result() == Secret("first")
    with pytest.raises(ConsentRefused):
        prompt.ask("$ ", about="decision", timeout=0, stopped=lambda: False)


NOBODY = """
from support_tunnel.adapters.terminal import TerminalPrompt
from support_tunnel.core.errors import UsageError
try:
    TerminalPrompt().ask("Let them in? ", about="decision", timeout=5, stopped=lambda: False)
except UsageError as error:
    print(error.code)
"""


def test_without_a_terminal_nobody_is_asked_and_stdin_is_not_read() -> None:
    argv: list[str | Path] = ["setsid", "--wait", sys.executable, "-c", NOBODY]
    ended = processes.run(argv, stdin=b"yes\n", env={"PYTHONPATH": str(Path(support_tunnel.__path__[0]).parent)})
    assert ended.stdout == "prompt.terminal\n"
