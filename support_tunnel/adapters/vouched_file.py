"""A file that somebody vouches for by its SHA-256: read once, so that what was checked is what is used."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from support_tunnel.core.errors import UsageError

__all__ = ["read_vouched"]

LARGEST = 256 * 1024 * 1024
"""Bytes; no release of ours is near it."""


def read_vouched(file: Path, sha256: str) -> bytes:
    """Raises UsageError `upgrade.sha256` (no such sum), `upgrade.checksum` (another file than was vouched for), `usage.file`."""
    wanted = sha256.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise UsageError(
            "upgrade.sha256",
            "a release is installed only with the SHA-256 that its vendor gives for it, 64 hex digits",
            next_step="Give it: --sha256 HEX. Take it from the vendor, not from where the file came from.",
        )
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise UsageError("usage.file", f"{file}: {error.strerror}") from None
    if len(content) > LARGEST or hashlib.sha256(content).hexdigest() != wanted:
        raise UsageError(
            "upgrade.checksum",
            f"{file.name} is not the file that the vendor's SHA-256 is of; nothing was changed",
            next_step="Fetch it again; if it stays so, ask the vendor.",
        )
    return content
