"""Undo what chats, mail programs, word processors and people do to a code's text; no character of the code is changed."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["compact", "pieces"]

_QUOTES: Final = "\"'`´‘’‚‛“”„‟«»‹›"
_INVISIBLE: Final = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
_DASHES: Final = frozenset("-‐‑‒–—―−﹘﹣－")
_BETWEEN_WORDS: Final = re.compile(f"[\\s,;.|{re.escape(_QUOTES + ''.join(sorted(_DASHES)))}]+")
_BRACKETS: Final = "()[]#*:"


def compact(text: str) -> str:
    """The text as one lower-case run of characters, for the token form."""
    folded = unicodedata.normalize("NFKC", _unquoted(text).strip(_QUOTES + " \t\r\n.\ufeff\u200b"))
    kept = "".join(c for c in folded if not (c.isspace() or c in _DASHES or c in _INVISIBLE))
    return kept.strip(_QUOTES + ".").lower()


def pieces(text: str) -> list[str]:
    """The text as lower-case words, without the numbers in front of them ("1. apple", "(2) apple", "3apple")."""
    folded = unicodedata.normalize("NFKC", _unquoted(text)).lower()
    seen = "".join(c for c in folded if c not in _INVISIBLE)
    bare = (piece.lstrip(_BRACKETS + "0123456789").rstrip(_BRACKETS) for piece in _BETWEEN_WORDS.split(seen))
    return [piece for piece in bare if piece]


def _unquoted(text: str) -> str:
    """Without the `>` that mail programs put before the lines they quote."""
    return "\n".join(line.lstrip(" \t>") for line in text.splitlines())
