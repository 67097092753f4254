"""Where the owner's code may come from on the admin's side, and what a mistake costs there (05-threats tests 7 to 10)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support_tunnel.cli.admin.code_entry import owners_code
from support_tunnel.core.errors import CodeError, UsageError
from support_tunnel.core.st1.code import Code
from support_tunnel.testing.people import ScriptedPrompt

NOBODY = ScriptedPrompt()


@pytest.fixture(params=[False, True], ids=["token", "words"])
def code(request: pytest.FixtureRequest) -> Code:
    return Code.generate(phone=request.param)


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """A pipe as stdin, which stays open after what is written."""
    receiving, sending = os.pipe()

    def write(data: bytes) -> None:
        os.write(sending, data)

    with os.fdopen(receiving) as stdin, os.fdopen(sending, "wb"):
        monkeypatch.setattr(sys, "stdin", stdin)
        yield write


def asked(*answers: str) -> tuple[Code, ScriptedPrompt]:
    prompt = ScriptedPrompt(answers)
    return owners_code("", refuse_argv=False, prompt=prompt), prompt


def test_a_prompt_takes_either_form(code: Code) -> None:
    assert asked(code.text().reveal())[0].tunnel == code.tunnel
    assert asked(code.grouped().reveal())[0].tunnel == code.tunnel


def test_a_prompt_takes_a_word_or_a_piece_a_line(code: Code) -> None:
    text = code.text().reveal()
    pieces = text.split() if code.is_spoken else [text[:20], text[20:40], text[40:]]
    found, prompt = asked(*pieces)
    assert found.tunnel == code.tunnel
    assert prompt.shown == []


def test_a_prompt_names_the_mistake_and_asks_again() -> None:
    words = Code.generate(phone=True).text().reveal().split()
    found, prompt = asked("\n".join(["aple", *words[1:]]), " ".join([*words, words[0]]), " ".join(words))
    assert found.text().reveal().split() == words
    assert prompt.shown[0].startswith("Word 1 is not on the list (the nearest there: ")
    assert prompt.shown[1].startswith("This has 14 words, a spoken code has 13: 1 too many. ")
    assert [question.partition(" (")[0] for question in prompt.asked] == [
        "The owner's code, or its 13 words",
        "Once more",
        "Once more",
    ]
    assert "2 tries left" in prompt.asked[1]
    assert "1 try left" in prompt.asked[2]


def test_an_empty_line_gives_a_beginning_up() -> None:
    text = Code.generate().text().reveal()
    found, prompt = asked(text[:30], "", text)
    assert found.text().reveal() == text
    assert "30 characters" in prompt.shown[0]


def test_the_third_mistake_ends_it() -> None:
    prompt = ScriptedPrompt(["https://support.example.org"] * 4)
    with pytest.raises(CodeError) as caught:
        owners_code("", refuse_argv=False, prompt=prompt)
    assert caught.value.code == "code.prefix"
    assert len(prompt.asked) == 3


def test_stdin_is_read_as_far_as_the_code_goes(code: Code, piped: Callable[[bytes], None]) -> None:
    """The pipe is still open: a program need not close it before it hears from us."""
    piped(b"\n" + code.grouped().reveal().encode() + b"\n")
    assert owners_code("-", refuse_argv=True, prompt=NOBODY).tunnel == code.tunnel


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\xff\xfe\n", "code.char"),
        (b"st1q" * 2000 + b"\n", "code.toolong"),
        (b"https://support.example.org\n", "code.prefix"),
    ],
)
def test_a_wrong_code_on_stdin_is_not_asked_for_again(piped: Callable[[bytes], None], data: bytes, error: str) -> None:
    piped(data)
    with pytest.raises(CodeError) as caught:
        owners_code("-", refuse_argv=True, prompt=NOBODY)
    assert caught.value.code == error


def test_file_and_environment(code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "code"
    file.write_text(code.grouped().reveal())
    assert owners_code(f"file:{file}", refuse_argv=True, prompt=NOBODY).tunnel == code.tunnel
    monkeypatch.setenv("OWNERS_CODE", code.text().reveal())
    assert owners_code("env:OWNERS_CODE", refuse_argv=True, prompt=NOBODY).tunnel == code.tunnel
    assert "OWNERS_CODE" not in os.environ


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "code"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError) as caught:
        owners_code(f"file:{file}", refuse_argv=True, prompt=NOBODY)
    assert caught.value.code == "secret.source"


def test_7_a_code_on_the_command_line_is_taken_with_a_warning(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    text = code.text().reveal()
    assert owners_code(text, refuse_argv=False, prompt=NOBODY).tunnel == code.tunnel
    said = capsys.readouterr()
    assert "stdin" in said.err
    assert text not in said.err + said.out


def test_7_or_refused_where_the_inventory_says_so(code: Code) -> None:
    with pytest.raises(UsageError) as caught:
        owners_code(code.text().reveal(), refuse_argv=True, prompt=NOBODY)
    assert (caught.value.code, caught.value.exit_code) == ("code.argv", 2)
    assert code.text().reveal() not in caught.value.message + caught.value.next_step
