"""Canonical JSON: one value, one text. What is not in that form is refused, so no two parsers can read a message differently."""

from __future__ import annotations

import json
from typing import Final, NoReturn

__all__ = ["dumps", "loads"]

_DEEPEST: Final = 8  # nothing of ours nests deeper than 4; json.loads recurses and dies at some 10^5
_LONGEST_NUMBER: Final = 17  # with its sign, enough for 2**53


def dumps(value: object) -> bytes:
    """UTF-8, keys sorted by code point, no white space, nothing escaped that need not be; whole numbers only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def loads(data: bytes) -> object:
    """Read what `dumps` wrote. Raises ValueError for everything else: doubles, floats, NaN, depth, other spellings."""
    if _depth(data) > _DEEPEST:
        raise ValueError("too deep")
    value: object = json.loads(
        data.decode(), object_pairs_hook=_object, parse_float=_refuse, parse_constant=_refuse, parse_int=_integer
    )
    if dumps(value) != data:  # UnicodeEncodeError of a lone surrogate is a ValueError too
        raise ValueError("not canonical")
    return value


def _depth(data: bytes) -> int:
    """How deep brackets nest outside of strings."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in data:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse(text: str) -> NoReturn:
    raise ValueError("not a whole number")


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("number too long")
    return int(text)
