"""WireGuard keys as `wg` prints them. Parsing is strict: a tolerant decoder once let `key\\nPostUp = ...` through."""

from __future__ import annotations

import base64
import binascii
import re

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.entropy import SYSTEM, Entropy

__all__ = ["new_keypair", "parse_public", "public_of"]

_SHAPE = re.compile(r"[A-Za-z0-9+/]{43}=")


def new_keypair(entropy: Entropy = SYSTEM) -> tuple[Secret[str], str]:
    """Return (private, public), base64 of 32 bytes each; the private one clamped as `wg genkey` does."""
    raw = bytearray(entropy.token(32))
    raw[0] &= 248
    raw[31] = (raw[31] & 127) | 64
    private = Secret(base64.b64encode(raw).decode())
    return private, public_of(private)


def public_of(private: Secret[str]) -> str:
    """What `wg pubkey` prints for `private`."""
    key = X25519PrivateKey.from_private_bytes(_decoded(private.reveal()))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def parse_public(text: str) -> str:
    """Return `text` when it is exactly one usable public key. Raises UsageError `key.wireguard`."""
    raw = _decoded(text)
    try:
        # Points of small order give the all-zero secret with every private key; OpenSSL refuses them here.
        X25519PrivateKey.from_private_bytes(bytes([64]) + bytes(30) + bytes([64])).exchange(
            X25519PublicKey.from_public_bytes(raw)
        )
    except ValueError:
        raise _refusal() from None
    return text


def _decoded(text: str) -> bytes:
    if not _SHAPE.fullmatch(text):
        raise _refusal()
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _refusal() from None
    if base64.b64encode(raw).decode() != text:
        raise _refusal()
    return raw


def _refusal() -> UsageError:
    return UsageError("key.wireguard", "a WireGuard key is 32 bytes in base64, as `wg` prints them")
