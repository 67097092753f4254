"""The spoken form of a code (2.7): 16 bytes and 15 check bits as 13 words, to be read over the phone.

What an error may say: which words are not on the list, by their number, and for the first of those the nearest words that
are. Such a word is probably the right one, so one error tells at most one of 13 words, 11 of 128 bits, to whoever reads the
log it ends in; all nearest words at once could tell the whole code. Nothing that was typed is repeated.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from support_tunnel.core.errors import CodeError
from support_tunnel.core.st1 import schedule
from support_tunnel.core.st1.word_list import WORDS

__all__ = ["SPOKEN_SEED", "WORD_COUNT", "decode", "encode", "looks_spoken", "may_go_on"]

SPOKEN_SEED: Final = 16
WORD_COUNT: Final = 13
_WORD_BITS: Final = 11
_CHECK_BITS: Final = 15
_PREFIX: Final = 4
_LONGEST_TYPED: Final = 12
_NUMBERS: Final = {word: number for number, word in enumerate(WORDS)}
_NUMBERS_BY_PREFIX: Final = {word[:_PREFIX]: number for number, word in enumerate(WORDS)}
_ASK: Final = "Ask the owner to read the words again, each with its number; the first four letters of each are enough."


def encode(seed: bytes) -> tuple[str, ...]:
    number = int.from_bytes(seed, "big") << _CHECK_BITS | _check(seed)
    return tuple(WORDS[number >> _WORD_BITS * (WORD_COUNT - 1 - place) & len(WORDS) - 1] for place in range(WORD_COUNT))


def decode(typed: Sequence[str]) -> bytes:
    """The seed of these words. Raises CodeError `words.unknown|code.length|code.checksum`."""
    numbers = [number for piece in typed if (number := _number(piece)) is not None]
    if len(numbers) < len(typed):
        raise _unknown(typed)
    if difference := len(typed) - WORD_COUNT:
        what = f"{difference} too many" if difference > 0 else f"{-difference} missing"
        raise CodeError(
            "code.length", f"this has {len(typed)} words, a spoken code has {WORD_COUNT}: {what}", next_step=_ASK
        )
    whole = 0
    for number in numbers:
        whole = whole << _WORD_BITS | number
    seed = (whole >> _CHECK_BITS).to_bytes(SPOKEN_SEED, "big")
    if whole & (1 << _CHECK_BITS) - 1 != _check(seed):
        raise CodeError("code.checksum", "one or more words are wrong, or not in their order", next_step=_ASK)
    return seed


def looks_spoken(typed: Sequence[str]) -> bool:
    """Whether most of this is words of the list, so that the rest are mistakes and not a text of another kind."""
    return len(typed) > 1 and 2 * sum(_number(piece) is not None for piece in typed) > len(typed)


def may_go_on(typed: Sequence[str]) -> bool:
    """Whether more lines could make this a spoken code."""
    plain = all(piece.isascii() and piece.isalpha() and len(piece) <= _LONGEST_TYPED for piece in typed)
    return 0 < len(typed) < WORD_COUNT and (plain or looks_spoken(typed))


def _check(seed: bytes) -> int:
    return int.from_bytes(schedule.labelled_hash(b"words check", seed)[:2], "big") >> 16 - _CHECK_BITS


def _number(piece: str) -> int | None:
    """The word's number, also by its first four letters or more; a longer text that only begins like a word is no word."""
    if piece in _NUMBERS:
        return _NUMBERS[piece]
    number = _NUMBERS_BY_PREFIX.get(piece[:_PREFIX])
    return number if number is not None and len(piece) >= _PREFIX and WORDS[number].startswith(piece) else None


def _unknown(typed: Sequence[str]) -> CodeError:
    first, *others = (place for place, piece in enumerate(typed, start=1) if _number(piece) is None)
    message = f"word {first} is not on the list"
    if nearest := _nearest(typed[first - 1]):
        message += f" (the nearest there: {', '.join(nearest)})"
    if others:
        message += f"; nor is word {', '.join(str(place) for place in others)}"
    return CodeError(
        "words.unknown", message, next_step=f"Ask the owner to spell word {first}, and type all words again."
    )


def _nearest(piece: str) -> list[str]:
    beginning = [word for word in WORDS if word[:_PREFIX] == piece[:_PREFIX]]
    alike = difflib.get_close_matches(piece[:_LONGEST_TYPED], WORDS, n=3)
    return list(dict.fromkeys([*beginning, *alike]))[:3]
