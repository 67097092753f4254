"""bech32m (BIP350), our own: the library at hand has the older bech32, whose checksum misses an inserted q before a final p."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ALPHABET", "checksum_holds", "decode", "encode", "to_bytes", "to_values"]

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT = 0x2BC830A3
_CHECKSUM = 6


def _polymod(values: Sequence[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= term
    return check


def _expanded(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def checksum_holds(prefix: str, values: Sequence[int]) -> bool:
    """Whether `values` (data and the six of the checksum, 0..31 each) belong to `prefix`."""
    return _polymod([*_expanded(prefix), *values]) == _CONSTANT


def encode(prefix: str, data: Sequence[int]) -> str:
    values = [*_expanded(prefix), *data]
    check = _polymod([*values, *[0] * _CHECKSUM]) ^ _CONSTANT
    tail = [check >> 5 * (_CHECKSUM - 1 - i) & 31 for i in range(_CHECKSUM)]
    return prefix + "1" + "".join(ALPHABET[v] for v in (*data, *tail))


def decode(text: str) -> tuple[str, list[int]]:
    """Split into prefix and data values, checksum removed. Raises ValueError for everything BIP350 calls invalid."""
    if text.lower() != text and text.upper() != text:
        raise ValueError("mixed case")
    lowered = text.lower()
    prefix, separator, tail = lowered.rpartition("1")
    if not separator or not prefix or len(tail) < _CHECKSUM or len(lowered) > 90:
        raise ValueError("length or separator")
    if any(not 33 <= ord(c) <= 126 for c in prefix) or any(c not in ALPHABET for c in tail):
        raise ValueError("character")
    values = [ALPHABET.index(c) for c in tail]
    if not checksum_holds(prefix, values):
        raise ValueError("checksum")
    return prefix, values[:-_CHECKSUM]


def to_values(data: bytes) -> list[int]:
    """Regroup bytes into values of 5 bits, zero bits at the end."""
    padding = -len(data) * 8 % 5
    number = int.from_bytes(data, "big") << padding
    count = (len(data) * 8 + padding) // 5
    return [number >> 5 * (count - 1 - i) & 31 for i in range(count)]


def to_bytes(values: Sequence[int]) -> bytes:
    """The inverse of `to_values`. Raises ValueError when the bits left over are not zero or make up a whole value."""
    padding = len(values) * 5 % 8
    number = 0
    for value in values:
        number = number << 5 | value
    if padding >= 5 or number & (1 << padding) - 1:
        raise ValueError("padding")
    return (number >> padding).to_bytes(len(values) * 5 // 8, "big")
