"""Where randomness enters ST1, as one argument: the system's by default, a fixed tape in the frozen known-answer test."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

__all__ = ["SYSTEM", "Entropy"]


def _encapsulate(public: MLKEM768PublicKey) -> tuple[bytes, bytes]:
    return public.encapsulate()


@dataclass(frozen=True, slots=True)
class Entropy:
    """`token(n)` gives n random bytes. ML-KEM draws its own coins inside the library, so it is an argument of its own."""

    token: Callable[[int], bytes] = secrets.token_bytes
    encapsulate: Callable[[MLKEM768PublicKey], tuple[bytes, bytes]] = _encapsulate


SYSTEM = Entropy()
