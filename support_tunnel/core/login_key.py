"""Public keys of people who log in with a client of their own: Ed25519 and P-256 in OpenSSH's formats, also in a security key.

Read from their own bytes, which may be a stranger's: one line of two words goes into a session's list of keys, nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from support_tunnel.core.errors import UsageError
from support_tunnel.core.st1.schedule import lp

__all__ = ["fingerprint", "parse", "read_file"]

_SHAPE: Final = re.compile(r"(?P<kind>[a-z0-9@.-]{1,40}) (?P<data>[A-Za-z0-9+/]{60,360}={0,2})")
_SECURITY_KEY: Final = re.compile(rb"ssh:[A-Za-z0-9._@+-]{0,60}")
"""What a security key signs for, as OpenSSH names it (PROTOCOL.u2f)."""
_ED25519: Final = "ssh-ed25519"
_P256: Final = "ecdsa-sha2-nistp256"
_SK: Final = {"sk-ssh-ed25519@openssh.com": _ED25519, "sk-ecdsa-sha2-nistp256@openssh.com": _P256}


def parse(line: str) -> bytes:
    """The key as SSH sends it, of exactly `TYPE BASE64`: no options, no comment, no second line. Raises UsageError `key.login`."""
    match = _SHAPE.fullmatch(line)
    kind = match["kind"] if match else ""
    if match is None or kind not in {_ED25519, _P256, *_SK}:
        raise _refusal()
    try:
        blob = base64.b64decode(match["data"], validate=True)
        parts = _parts(blob)
        exact = base64.b64encode(blob).decode() == match["data"]
        if not exact or parts.pop(0) != kind.encode() or (kind in _SK and not _SECURITY_KEY.fullmatch(parts.pop())):
            raise _refusal()
        _require_key(_SK.get(kind, kind), parts)
    except (binascii.Error, ValueError, IndexError):
        raise _refusal() from None
    return blob


def fingerprint(line: str) -> str:
    """`SHA256:...` as `ssh-keygen -l` prints it. Raises UsageError `key.login`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(parse(line)).digest()).decode().rstrip("=")


def read_file(text: str) -> str:
    """The key of a `.pub` file, without its comment. Raises UsageError `key.login` where it holds anything else."""
    line, *more = text.strip().splitlines() or [""]
    if more:
        raise _refusal()
    found = " ".join(line.split()[:2])
    parse(found)
    return found


def _parts(blob: bytes) -> list[bytes]:
    """RFC 4251's strings, to the last byte."""
    parts, at = [], 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
        if end > len(blob):
            raise ValueError("cut off")
        parts.append(blob[at + 4 : end])
        at = end
    if lp(*parts) != blob:
        raise ValueError("cut off")
    return parts


def _require_key(kind: str, parts: list[bytes]) -> None:
    """Raises ValueError."""
    if kind == _ED25519:
        (raw,) = parts
        Ed25519PublicKey.from_public_bytes(raw)
        return
    curve, point = parts
    if curve != b"nistp256" or len(point) != 65:
        raise ValueError("another curve, or a compressed point, which OpenSSH does not take")
    EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)


def _refusal() -> UsageError:
    return UsageError(
        "key.login",
        "a helper's public key is one line of the type ssh-ed25519, ecdsa-sha2-nistp256, or one of these in a security key",
        next_step="Ask them for the file that ends in .pub; `ssh-keygen -t ed25519` makes one.",
    )
