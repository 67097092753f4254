"""A code as a QR in the terminal, for a helper's camera. Draws text; where that may be shown is the caller's to know."""

from __future__ import annotations

import segno

from support_tunnel.core.secret import Secret

__all__ = ["drawn"]

_BORDER = 2
# Black on white whatever the terminal's colours are: many cameras do not read a code that is light on dark.
_COLOURS, _PLAIN = "\x1b[30;47m", "\x1b[0m"
_HALVES = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def drawn(text: Secret[str]) -> str:
    """`text` in upper case, two rows of modules a line; 33 columns for a token, at most 41 for words (2.7)."""
    code = segno.make_qr(text.reveal().upper(), error="l", mode="alphanumeric", boost_error=False)
    rows = [tuple(row) for row in code.matrix_iter(border=_BORDER)]
    rows.append((0,) * len(rows[0]))  # the number of rows is odd
    pairs = zip(rows[::2], rows[1::2], strict=True)
    lines = ["".join(_HALVES[halves] for halves in zip(upper, lower, strict=True)) for upper, lower in pairs]
    return "\n".join(f"{_COLOURS}{line}{_PLAIN}" for line in lines)
