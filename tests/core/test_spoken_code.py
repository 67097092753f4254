"""The code as 13 words: 05-threats tests 9 and 10, what a voice on the phone and a hand at a keyboard make of it."""

from __future__ import annotations

import hashlib
import inspect
import re
import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.errors import CodeError
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import code as code_module
from support_tunnel.core.st1 import spoken
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.word_list import WORDS

SPOKEN = st.binary(min_size=16, max_size=16).map(lambda seed: Code(Secret(seed)))
PLACES = st.integers(0, 12)
SAID_TO_EVERYBODY = inspect.getsource(code_module) + inspect.getsource(spoken)
MISTYPED = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=10).filter(
    lambda text: not any(word.startswith(text) if len(text) > 3 else word == text for word in WORDS)
)


def words_of(code: Code) -> list[str]:
    return code.text().reveal().split()


def refused(words: list[str], between: str = " ") -> CodeError:
    text = between.join(words)
    with pytest.raises(CodeError) as caught:
        Code.parse(text)
    said = re.sub(r" \(the nearest there: .*?\)", "", caught.value.message + caught.value.next_step)
    # Test 10. A near word is one of the list's and may be as long as 8 letters; of all else nothing was typed. What is said
    # to everybody is in English, as the words are, and may coincide with them.
    typed = {text[i : i + 8] for i in range(len(text) - 7)}
    assert not [part for part in typed if part in said and part not in SAID_TO_EVERYBODY]
    return caught.value


def near(error: CodeError) -> list[str]:
    found = re.search(r"\(the nearest there: (.*?)\)", error.message)
    return found[1].split(", ") if found else []


def test_the_list_is_bip39s() -> None:
    listed = "".join(word + "\n" for word in WORDS)
    assert hashlib.sha256(listed.encode()).hexdigest() == (
        "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    )
    assert len({word[:4] for word in WORDS}) == 2048


@given(SPOKEN)
def test_p1_round_trip(code: Code) -> None:
    assert code.is_spoken
    words = words_of(code)
    assert len(words) == 13
    for text in (code.text().reveal(), code.grouped().reveal(), code.text().reveal().upper()):
        read = Code.parse(text)
        assert (read.tunnel, read.claim, read.network) == (code.tunnel, code.claim, code.network)
        assert read.text() == code.text()


def test_generated_for_the_phone() -> None:
    code = Code.generate(phone=True)
    assert Code.parse(code.text().reveal()).tunnel == code.tunnel
    assert code.tunnel != Code.generate(phone=True).tunnel


def test_rows_for_reading_aloud(zero_code: Code) -> None:
    assert Code(Secret(bytes(16))).grouped().reveal().splitlines() == [
        " 1 abandon    2 abandon    3 abandon    4 abandon",
        " 5 abandon    6 abandon    7 abandon    8 abandon",
        " 9 abandon   10 abandon   11 abandon   12 ability",
        "13 motor",
    ]
    assert not zero_code.is_spoken


BETWEEN = st.sampled_from([" ", "\n", ", ", " - ", "-", "—", "; ", "\r\n> ", "\t", ". ", '" "', "\u00a0", " | "])
SPELLED = st.sampled_from([str, str.upper, str.capitalize, lambda word: word[:4], lambda word: "\u200b" + word])


@given(SPOKEN, BETWEEN, st.lists(SPELLED, min_size=13, max_size=13))
def test_9_any_case_prefixes_and_separators(code: Code, between: str, spelled: list[type[str]]) -> None:
    words = [spell(word) for spell, word in zip(spelled, words_of(code), strict=True)]
    assert Code.parse(between.join(words)).tunnel == code.tunnel


@pytest.mark.parametrize("number", ["{}. ", "{}) ", "({}) ", "#{} ", "{}: ", "{}", "{} ", "{} - ", "１"])
@pytest.mark.parametrize("between", ["\n", "  ", ", "])
def test_9_numbers_in_front(number: str, between: str) -> None:
    code = Code.generate(phone=True)
    numbered = [number.format(place) + word for place, word in enumerate(words_of(code), start=1)]
    assert Code.parse(between.join(numbered)).tunnel == code.tunnel


@given(SPOKEN, PLACES, MISTYPED)
def test_9_one_wrong(code: Code, place: int, mistyped: str) -> None:
    words = words_of(code)
    words[place] = mistyped
    error = refused(words)
    assert error.code == "words.unknown"
    assert error.message.startswith(f"word {place + 1} is not on the list")
    assert set(near(error)) <= set(WORDS)
    assert len(near(error)) <= 3


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [("aple", "apple"), ("apples", "apple"), ("bannana", "banana"), ("wierd", "weird"), ("satosi", "satoshi")],
)
def test_9_the_word_that_was_meant_is_among_the_nearest(mistyped: str, meant: str) -> None:
    assert meant in near(refused(["zoo"] * 5 + [mistyped] + ["zoo"] * 7))


def test_9_several_wrong_are_numbered_and_one_is_guessed() -> None:
    """Near words for each place would put the whole code into a log."""
    words = words_of(Code.generate(phone=True))
    for place in (2, 6, 10):
        words[place] += "x"
    error = refused(words)
    assert re.fullmatch(r"word 3 is not on the list \(.*\); nor is word 7, 11", error.message)
    assert words[6][:-1] not in near(error) or words[6][:4] == words[2][:4]


@given(SPOKEN, PLACES, st.integers(1, 5))
def test_9_missing_and_doubled(code: Code, place: int, count: int) -> None:
    words = words_of(code)
    short = refused(words[count:])
    assert (short.code, short.message) == (
        "code.length",
        f"this has {13 - count} words, a spoken code has 13: {count} missing",
    )
    long = refused(words[:place] + [words[place]] * count + words[place:])
    assert (long.code, long.message) == (
        "code.length",
        f"this has {13 + count} words, a spoken code has 13: {count} too many",
    )


def test_9_two_swapped_or_another_word() -> None:
    """Of a known code, every swap of two words and every neighbour in the list: exact, so no luck is involved."""
    words = words_of(Code(Secret(bytes(range(16)))))
    for first in range(13):
        for second in range(first + 1, 13):
            swapped = list(words)
            swapped[first], swapped[second] = words[second], words[first]
            if swapped != words:
                assert refused(swapped).code == "code.checksum"
        other = list(words)
        other[first] = WORDS[(WORDS.index(words[first]) + 1) % 2048]
        assert refused(other).code == "code.checksum"


def test_no_other_last_word_holds() -> None:
    *words, last = words_of(Code.generate(phone=True))
    for word in WORDS:
        if word != last:
            with pytest.raises(CodeError, match="one or more words are wrong"):
                spoken.decode([*words, word])


@pytest.mark.parametrize(
    "text",
    ["https://support.example.org", "apple", "support@example.org", "Guten Tag, ich habe ein Problem", "1 2 3"],
)
def test_4_other_texts_are_not_called_words(text: str) -> None:
    assert refused([text]).code == "code.prefix"


def test_5_long_and_hostile() -> None:
    assert refused(["apple"] * 1000).code == "code.toolong"
    assert refused(["apple"] * 300).code == "code.length"
    assert refused(["apple"] * 12 + ["\u202elive"]).code == "words.unknown"
    assert refused(["apple"] * 12 + ["\x1b[2J"]).code == "words.unknown"


@given(st.lists(st.sampled_from(WORDS) | MISTYPED, max_size=30))
def test_p3_any_words_are_a_code_or_one_typed_error(words: list[str]) -> None:
    error = None
    try:
        Code.parse(" ".join(words))
    except CodeError as raised:
        error = raised
    assert error is None or re.fullmatch(r"code\.(prefix|length|checksum)|words\.unknown", error.code)
    assert error is None or error.next_step


@given(SPOKEN, st.integers(1, 12))
def test_more_lines_are_wanted_until_the_last_word(code: Code, typed: int) -> None:
    words = words_of(code)
    assert Code.wants_more("\n".join(words[:typed]) + "\n")
    assert not Code.wants_more("\n".join(words) + "\n")


def test_more_lines_are_wanted_of_half_a_token_only() -> None:
    grouped = Code.generate().grouped().reveal()
    assert Code.wants_more(grouped[:40] + "\n")
    assert not Code.wants_more(grouped)
    assert Code.wants_more("aple\n")  # may be the first word; its mistake is named when all are there
    for other in ("", "https://support.example.org", secrets.token_hex(16), "x" * 40):
        assert not Code.wants_more(other)


def test_a_tunnel_comes_up_under_words_typed_by_hand(make_parties: type[Any]) -> None:
    offered = make_parties(code=Code.generate(phone=True))
    device = offered.offer()
    typed = make_parties(code=Code.parse("\n".join(word[:4] for word in words_of(offered.code))))
    admin = typed.answer(device.message)
    session = offered.opened(device, admin.message)
    assert session.digits_match(admin.read_confirm(session.confirm(offered.now), offered.now))
    assert session.psk == admin.psk


def test_code_does_not_show_itself() -> None:
    code = Code.generate(phone=True)
    shown = repr(code) + str(code) + f"{code}" + repr(code.text()) + repr(code.grouped())
    assert not [word for word in words_of(code) if re.search(rf"\b{word}\b", shown) and word not in {"code", "tunnel"}]
