"""The hybrid key agreement of ST1: ML-KEM-768 (FIPS 203) and X25519 (RFC 7748), both mixed into R (2.3).

Holds no state and makes no choice of suite on its own: the classical one exists only where somebody asked for it by name.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import fields
from support_tunnel.core.st1.entropy import Entropy
from support_tunnel.core.st1.schedule import lp

__all__ = [
    "CIPHERTEXT_LENGTH",
    "CLASSICAL",
    "HYBRID",
    "KemPrivate",
    "KemPublic",
    "Suite",
    "encapsulate",
    "mlkem_available",
    "parse_kem_public",
    "require_mlkem",
]

Suite = Literal["mlkem768-x25519", "x25519"]
HYBRID: Final[Suite] = "mlkem768-x25519"
CLASSICAL: Final[Suite] = "x25519"
CIPHERTEXT_LENGTH: Final[dict[Suite, int]] = {HYBRID: 1088, CLASSICAL: 0}
_MLKEM_SEED: Final = 64
_X25519_SEED: Final = 32
_T_HAT: Final = 1152  # of the 1184 bytes of an ML-KEM-768 key; the rest is the seed of its matrix


def mlkem_available() -> bool:
    try:
        MLKEM768PrivateKey.from_seed_bytes(bytes(64))
    except UnsupportedAlgorithm:
        return False
    return True


def require_mlkem() -> None:
    """Start-up check. Raises UsageError `crypto.mlkem` where the cryptography at hand was built without ML-KEM."""
    if not mlkem_available():
        raise UsageError(
            "crypto.mlkem",
            "this machine's cryptography library has no ML-KEM, so the tunnel would not be safe from later quantum computers",
            next_step="Install the `cryptography` wheel (its OpenSSL is 3.5 or newer), or accept that with --allow-classical.",
        )


@dataclass(frozen=True, slots=True)
class KemPublic:
    """The offer's public half; `mlkem` is None in the classical suite."""

    x25519: bytes
    mlkem: bytes | None

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {"x25519": fields.encoded(self.x25519)}
        if self.mlkem is not None:
            found["mlkem768"] = fields.encoded(self.mlkem)
        return found


def parse_kem_public(value: object, suite: Suite) -> KemPublic:
    """Read the offer's `kem`. Raises MessageError `offer.kem` for keys that are well formed but useless."""
    keys = frozenset({"x25519", "mlkem768"} if suite == HYBRID else {"x25519"})
    found = fields.record(value, "kem", keys)
    x25519 = fields.fixed_bytes(found["x25519"], "kem.x25519", low=32, high=32)
    _exchange(X25519PrivateKey.from_private_bytes(bytes(31) + b"\x40"), x25519)
    if suite == CLASSICAL:
        return KemPublic(x25519, None)
    mlkem = fields.fixed_bytes(found["mlkem768"], "kem.mlkem768", low=1184, high=1184)
    _mlkem_public(mlkem)
    return KemPublic(x25519, mlkem)


class KemPrivate:
    """The offer's private half: lives in memory (or on tmpfs, until somebody answers), used once, then dropped."""

    __slots__ = ("_mlkem", "_x25519", "suite")

    def __init__(self, suite: Suite, entropy: Entropy) -> None:
        self.suite = suite
        self._mlkem = MLKEM768PrivateKey.from_seed_bytes(entropy.token(_MLKEM_SEED)) if suite == HYBRID else None
        self._x25519 = X25519PrivateKey.from_private_bytes(entropy.token(_X25519_SEED))

    @classmethod
    def load(cls, suite: Suite, seeds: Secret[bytes]) -> KemPrivate:
        """The key that `dump` came from. Raises ValueError for another length than the suite's."""
        raw = seeds.reveal()
        if len(raw) != (_MLKEM_SEED if suite == HYBRID else 0) + _X25519_SEED:
            raise ValueError("not the seeds of this suite")
        tape = io.BytesIO(raw)
        return cls(suite, Entropy(tape.read))

    def dump(self) -> Secret[bytes]:
        """The seeds, in the order in which they are drawn: ML-KEM's 64 bytes (FIPS 203: d, z), then X25519's 32."""
        mlkem = self._mlkem.private_bytes_raw() if self._mlkem else b""
        return Secret(mlkem + self._x25519.private_bytes_raw())

    @property
    def public(self) -> KemPublic:
        mlkem = self._mlkem.public_key().public_bytes_raw() if self._mlkem else None
        return KemPublic(self._x25519.public_key().public_bytes_raw(), mlkem)

    def agree(self, *, ciphertext: bytes, ephemeral: bytes, m1_hash: bytes, header: bytes) -> bytes:
        """R, from what the admin sent. Raises ValueError; a wrong ciphertext gives another R, not an error (FIPS 203)."""
        parts = [self._mlkem.decapsulate(ciphertext)] if self._mlkem else []
        parts.append(self._x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral)))
        return _mix(parts, m1_hash, header, ciphertext, ephemeral, self.public)


def encapsulate(public: KemPublic, *, m1_hash: bytes, header: bytes, entropy: Entropy) -> tuple[bytes, bytes, bytes]:
    """Return (R, ciphertext, ephemeral) for an offer. Raises MessageError `offer.kem`."""
    secret = X25519PrivateKey.from_private_bytes(entropy.token(32))
    ephemeral = secret.public_key().public_bytes_raw()
    parts, ciphertext = [], b""
    if public.mlkem is not None:
        first, ciphertext = entropy.encapsulate(_mlkem_public(public.mlkem))
        parts.append(first)
    parts.append(_exchange(secret, public.x25519))
    return _mix(parts, m1_hash, header, ciphertext, ephemeral, public), ciphertext, ephemeral


def _mix(
    secrets: list[bytes], m1_hash: bytes, header: bytes, ciphertext: bytes, ephemeral: bytes, public: KemPublic
) -> bytes:
    # Labels differ, so the classical R can never equal a hybrid one even for equal inputs.
    if public.mlkem is None:
        info = lp(b"ST1 kem classical", header, ephemeral, public.x25519)
    else:
        info = lp(b"ST1 kem", header, ciphertext, ephemeral, public.mlkem, public.x25519)
    return HKDF(SHA256(), 32, m1_hash, info).derive(lp(*secrets))


def _exchange(secret: X25519PrivateKey, public: bytes) -> bytes:
    try:
        return secret.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:  # all-zero result: a point of small order
        raise MessageError("offer.kem", "the offer's X25519 key is not usable") from None


def _mlkem_public(raw: bytes) -> MLKEM768PublicKey:
    # All zero passes FIPS 203's check, and then the shared secret is known to everybody.
    if not any(raw[:_T_HAT]):
        raise MessageError("offer.kem", "the offer's ML-KEM key is not usable")
    try:
        return MLKEM768PublicKey.from_public_bytes(raw)
    except ValueError:
        raise MessageError("offer.kem", "the offer's ML-KEM key is not usable") from None
