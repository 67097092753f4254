"""Any text of a ticket or a helper as a part of a tag. Two texts never share a label: two tickets would meet in it.

A text that is a good label already stays as it is, in small letters. Any other gets 64 bits of its digest at the end; and so does one
that only looks as if it had them, so that nobody can name a ticket after another's label.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from support_tunnel.core.errors import UsageError

__all__ = ["WORDS", "is_label", "label"]

WORDS: Final = "[a-z0-9]+(?:-[a-z0-9]+)*"
"""A regular expression. Never two dashes together: those stand between the parts of a tag."""
_LONGEST: Final = 26
"""A tag with two labels is then no longer than a DNS label (63)."""

_READABLE: Final = 9
"""Characters of the text that are left in front of a digest."""
_DIGEST: Final = 16
_LIKE_A_DIGEST: Final = re.compile(r"(.*-)?[0-9a-f]{16}")


def is_label(text: str) -> bool:
    return len(text) <= _LONGEST and re.fullmatch(WORDS, text) is not None


def label(text: str) -> str:
    """Name a ticket or helper; case and kinds of white space around it make no difference. Raises UsageError `tailnet.name`."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()
    if not folded:
        raise UsageError("tailnet.name", "a ticket and a helper need a name", next_step="Give it, such as ST-2025-001.")
    if is_label(folded) and not _LIKE_A_DIGEST.fullmatch(folded):
        return folded
    digest = hashlib.sha256(folded.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    readable = re.sub(r"[^a-z0-9]+", "-", folded).strip("-")[:_READABLE].strip("-")
    return f"{readable}-{digest}" if readable else digest
