"""The key schedule of ST1 (2.2, 2.3): every label and every derivation in one place, so that none is spelled twice.

Nothing here decides anything; docs/protocol.md states the same bytes and tests/core/test_protocol_page.py computes them again.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from support_tunnel.core.names import TunnelId

__all__ = [
    "claim",
    "expand",
    "labelled_hash",
    "lp",
    "network",
    "root_key",
    "sas_commitment",
    "sas_digits",
    "session_key",
    "sha256",
    "transcript",
    "tunnel_id",
    "wireguard_psk",
]


def lp(*parts: bytes) -> bytes:
    """Join parts, each after its length in 4 bytes big-endian: no two different lists give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def labelled_hash(label: bytes, *parts: bytes) -> bytes:
    return sha256(lp(b"ST1 " + label, *parts))


def expand(key: bytes, label: bytes, *parts: bytes, length: int = 32) -> bytes:
    """HKDF-Expand (RFC 5869) with SHA-256 and info = lp("ST1 " + label, parts...)."""
    return HKDFExpand(SHA256(), length, lp(b"ST1 " + label, *parts)).derive(key)


def root_key(seed: bytes) -> bytes:
    """prk of the code's seed S."""
    return hmac.digest(b"support-tunnel ST1 root", seed, "sha256")


def tunnel_id(prk: bytes) -> TunnelId:
    return TunnelId(expand(prk, b"tid", length=16).hex())


def claim(prk: bytes) -> bytes:
    """What the admin shows the API; the API keeps SHA-256 of it."""
    return expand(prk, b"claim")


def network(prk: bytes) -> ipaddress.IPv6Network:
    """The tunnel's /64 inside fd00::/8: nobody chooses addresses."""
    return ipaddress.IPv6Network((b"\xfd" + expand(prk, b"ula", length=7) + bytes(8), 64))


def session_key(prk: bytes, agreed: bytes) -> bytes:
    """prk2: needs the code and the key agreement; everything from M2 on hangs on it."""
    return hmac.digest(prk, agreed, "sha256")


def transcript(m1: bytes, m2: bytes) -> bytes:
    """h2: binds everything after the answer to the whole bytes of both messages."""
    return labelled_hash(b"transcript", sha256(m1), m2)


def sas_commitment(nonce: bytes) -> bytes:
    return labelled_hash(b"sas commit", nonce)


def sas_digits(prk2: bytes, h2: bytes, nonce: bytes) -> str:
    """Six digits the admin reads aloud and the owner types."""
    number = int.from_bytes(expand(prk2, b"sas", h2, nonce, length=8), "big") % 10**6
    return f"{number:06d}"


def wireguard_psk(prk2: bytes, h2: bytes) -> bytes:
    return expand(prk2, b"wireguard psk", h2)
