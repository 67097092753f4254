"""The QR as it stands on the terminal, read back by a decoder of our own (ISO/IEC 18004, one block, alphanumeric).

The decoder knows only what is drawn: black and white, two modules a character.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.adapters.qr import drawn
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.code import Code

CODES = st.sampled_from([16, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n)).map(lambda s: Code(Secret(s)))
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
INK = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
MASKS: tuple[Callable[[int, int], int], ...] = (
    lambda r, c: (r + c) % 2,
    lambda r, c: r % 2,
    lambda r, c: c % 3,
    lambda r, c: (r + c) % 3,
    lambda r, c: (r // 2 + c // 3) % 2,
    lambda r, c: r * c % 2 + r * c % 3,
    lambda r, c: (r * c % 2 + r * c % 3) % 2,
    lambda r, c: ((r + c) % 2 + r * c % 3) % 2,
)
BORDER = 2


def modules(picture: str) -> list[list[int]]:
    """What is inside the white border."""
    rows: list[list[int]] = []
    for line in picture.split("\n"):
        found = re.fullmatch("\x1b\\[30;47m([ ▀▄█]+)\x1b\\[0m", line)
        assert found
        rows += [list(half) for half in zip(*(INK[sign] for sign in found[1]), strict=True)]
    assert not any(map(any, [*rows[:BORDER], *rows[-BORDER - 1 :]]))
    assert not any(any(row[:BORDER] + row[-BORDER:]) for row in rows)
    return [row[BORDER:-BORDER] for row in rows[BORDER : -BORDER - 1]]


def read(grid: list[list[int]]) -> str:
    size = len(grid)
    assert all(len(row) == size for row in grid)
    level, mask = (int("".join(map(str, grid[8][a:b])), 2) for a, b in ((0, 2), (2, 5)))
    assert level ^ 0b10 == 0b01  # error correction L
    masked = MASKS[mask ^ 0b101]
    bits = "".join(str(grid[r][c] ^ (masked(r, c) == 0)) for r, c in path(size) if not is_pattern(r, c, size))
    assert bits[:4] == "0010"  # alphanumeric
    count, text, at = int(bits[4:13], 2), "", 13
    while len(text) < count:
        width = 11 if count - len(text) > 1 else 6
        value, at = int(bits[at : at + width], 2), at + width
        text += (ALPHANUMERIC[value // 45] if width > 6 else "") + ALPHANUMERIC[value % 45]
    return text


def path(size: int) -> list[tuple[int, int]]:
    """Columns in pairs from the right, up and down in turn; column 6 is the timing pattern's."""
    pairs = [right for right in range(size - 1, 0, -2) if right > 6] + [5, 3, 1]
    found = []
    for turn, right in enumerate(pairs):
        rows = range(size) if turn % 2 else range(size - 1, -1, -1)
        found += [(row, column) for row in rows for column in (right, right - 1)]
    return found


def is_pattern(row: int, column: int, size: int) -> bool:
    finder = (row < 9 and (column < 9 or column >= size - 8)) or (row >= size - 8 and column < 9)
    alignment = abs(row - (size - 7)) <= 2 and abs(column - (size - 7)) <= 2
    return finder or alignment or row == 6 or column == 6


@given(CODES)
def test_what_is_drawn_is_the_code(code: Code) -> None:
    text = read(modules(drawn(code.text())))
    assert text == code.text().reveal().upper()
    assert Code.parse(text).tunnel == code.tunnel


@pytest.mark.parametrize(
    ("text", "modules_wide"), [("st1" + "q" * 59, 29), (" ".join(["zoo"] * 13), 29), (" ".join(["abstract"] * 13), 37)]
)
def test_it_fits_a_terminal_of_80_by_24(text: str, modules_wide: int) -> None:
    picture = drawn(Secret(text))
    assert len(modules(picture)) == modules_wide
    assert read(modules(picture)) == text.upper()
    assert len(picture.split("\n")) <= 21
