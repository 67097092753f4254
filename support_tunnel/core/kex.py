"""Key exchanges of OpenSSH that a recording made today does not give away to tomorrow's computers."""

from __future__ import annotations

from typing import Final

__all__ = ["POST_QUANTUM_KEX"]

POST_QUANTUM_KEX: Final = ("mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com")
"""Hybrids, best first: sntrup from OpenSSH 9.0, ML-KEM from 9.9 (2.6)."""
