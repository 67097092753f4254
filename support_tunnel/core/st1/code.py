"""The support code (2.2, 2.7): one secret from which the tunnel's id, claim and addresses follow.

Two forms: a token of 62 characters for 256 bits, to be copied, and 13 words for 128 bits, to be read aloud (spoken.py). Says
which kind of mistake a person made, never repairs one silently, and never repeats what was typed: a mistyped code is still
nearly the code.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from support_tunnel.core.errors import CodeError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import bech32m, pasted, schedule, spoken
from support_tunnel.core.st1.entropy import SYSTEM, Entropy

__all__ = ["CODE_LENGTH", "LONGEST_TEXT", "Code"]

CODE_LENGTH: Final = 62
LONGEST_TEXT: Final = 2000  # a code in a quoted mail is under 300; nothing longer is even normalised
_PREFIX: Final = "st"
_START: Final = "st1"
_TOKEN: Final = 0  # kind "q"; 2 is kept for a short code behind a PAKE
_SEED: Final = 32
_ASK: Final = "Copy the whole code again from where the owner put it, or ask the owner to read it again."


class Code:
    """A valid code. Its text leaves only through `text()` and `grouped()`, as a Secret."""

    __slots__ = ("_prk", "_seed")

    def __init__(self, seed: Secret[bytes]) -> None:
        if len(seed.reveal()) not in (_SEED, spoken.SPOKEN_SEED):
            raise CodeError("code.length", f"a code is made from {_SEED} bytes, or {spoken.SPOKEN_SEED} as words")
        self._seed = seed
        self._prk = Secret(schedule.root_key(seed.reveal()))

    def __repr__(self) -> str:
        return f"Code(tunnel={self.tunnel[:8]}, ***)"

    @classmethod
    def generate(cls, entropy: Entropy = SYSTEM, *, phone: bool = False) -> Code:
        """A new code: as a token, or as words to be read over the `phone`."""
        return cls(Secret(entropy.token(spoken.SPOKEN_SEED if phone else _SEED)))

    @classmethod
    def parse(cls, text: str) -> Code:
        """Read a code as people paste or type it.

        Raises CodeError `code.toolong|prefix|char|length|checksum|kind`, `words.unknown`.
        """
        if len(text) > LONGEST_TEXT:
            raise CodeError("code.toolong", "this is far longer than a support code", next_step=_ASK)
        cleaned = pasted.compact(text)
        if not cleaned.startswith(_START):
            words = pasted.pieces(text)
            if spoken.looks_spoken(words):
                return cls(Secret(spoken.decode(words)))
            raise _not_a_code(cleaned)
        data = cleaned[len(_START) :]
        for position, character in enumerate(data, start=len(_START) + 1):
            if character not in bech32m.ALPHABET:
                raise CodeError(
                    "code.char",
                    f"character {position} is one that codes never use (after st1 there is no b, i, o or 1, and no sign)",
                    next_step=_ASK,
                )
        values = [bech32m.ALPHABET.index(character) for character in data]
        holds = bech32m.checksum_holds(_PREFIX, values)
        # A typing mistake must not be called a newer version, nor a newer version (perhaps of another length) a mistake.
        if holds and values[0] != _TOKEN:
            raise CodeError(
                "code.kind",
                "this code is for a newer version of support-tunnel",
                next_step="Update support-tunnel here, or ask the owner for a code of the token form.",
            )
        if len(cleaned) != CODE_LENGTH:
            raise CodeError(
                "code.length", f"this has {len(cleaned)} characters, a support code has {CODE_LENGTH}", next_step=_ASK
            )
        if not holds:
            raise CodeError("code.checksum", "one or more characters were mistyped", next_step=_ASK)
        try:
            seed = bech32m.to_bytes(values[1:-6])
        except ValueError:
            raise CodeError("code.checksum", "no support-tunnel makes such a code", next_step=_ASK) from None
        return cls(Secret(seed))

    @staticmethod
    def wants_more(text: str) -> bool:
        """Whether `text` may be the beginning of a code whose other lines are still to come."""
        cleaned = pasted.compact(text)
        if cleaned.startswith(_START):
            return len(cleaned) < CODE_LENGTH
        return spoken.may_go_on(pasted.pieces(text))

    @property
    def is_spoken(self) -> bool:
        return len(self._seed.reveal()) == spoken.SPOKEN_SEED

    def text(self) -> Secret[str]:
        """The code on one line: 62 characters in one piece, or 13 words."""
        seed = self._seed.reveal()
        if self.is_spoken:
            return Secret(" ".join(spoken.encode(seed)))
        return Secret(bech32m.encode(_PREFIX, [_TOKEN, *bech32m.to_values(seed)]))

    def grouped(self) -> Secret[str]:
        """The same for a screen: characters in groups of four, or words with their numbers in rows of four."""
        text = self.text().reveal()
        if self.is_spoken:
            cells = [f"{number:2} {word:8}" for number, word in enumerate(text.split(), start=1)]
            return Secret("\n".join("  ".join(cells[i : i + 4]).rstrip() for i in range(0, len(cells), 4)))
        return Secret(" ".join(text[i : i + 4] for i in range(0, len(text), 4)))

    @property
    def tunnel(self) -> TunnelId:
        return schedule.tunnel_id(self._prk.reveal())

    @property
    def claim(self) -> Secret[bytes]:
        return Secret(schedule.claim(self._prk.reveal()))

    @property
    def network(self) -> ipaddress.IPv6Network:
        return schedule.network(self._prk.reveal())

    @property
    def prk(self) -> Secret[bytes]:
        """Root of the key schedule; for the protocol's own modules."""
        return self._prk


def _not_a_code(cleaned: str) -> CodeError:
    if any(not c.isascii() or not c.isprintable() for c in cleaned):
        return CodeError("code.char", "this holds signs that codes never use", next_step=_ASK)
    return CodeError("code.prefix", "a support code starts with st1, or is 13 words", next_step=_ASK)
