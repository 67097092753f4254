"""SSH signatures (OpenSSH's PROTOCOL.sshsig) with Ed25519 keys, byte for byte what `ssh-keygen -Y sign` makes and checks.

Knows nothing of who may sign; `signer.py` does.
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from support_tunnel.core import ssh_key
from support_tunnel.core.st1.schedule import lp

__all__ = ["NAMESPACE", "armored", "sign", "unarmored", "verifies"]

NAMESPACE: Final = "st1-answer"
_MAGIC: Final = b"SSHSIG"
_HASH: Final = b"sha512"
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"


def sign(key: Ed25519PrivateKey, message: bytes, *, namespace: str = NAMESPACE) -> bytes:
    """Return the signature blob (not armored)."""
    signature = key.sign(_signed_text(message, namespace))
    return _blob(ssh_key.public_blob(ssh_key.public_line(key.public_key())), namespace, signature)


def verifies(key: Ed25519PublicKey, message: bytes, blob: bytes, *, namespace: str = NAMESPACE) -> bool:
    """Whether `blob` is the signature of `message` by `key` in `namespace`."""
    signature = blob[-64:]
    # Ed25519 leaves one spelling of the whole blob, so comparing replaces a parser of what a stranger sent.
    if blob != _blob(ssh_key.public_blob(ssh_key.public_line(key)), namespace, signature):
        return False
    try:
        key.verify(signature, _signed_text(message, namespace))
    except InvalidSignature:
        return False
    return True


def armored(blob: bytes) -> str:
    """The text form that `ssh-keygen -Y verify` reads."""
    lines = textwrap.wrap(base64.b64encode(blob).decode(), 70)
    return "\n".join([_BEGIN, *lines, _END, ""])


def unarmored(text: str) -> bytes:
    """The blob of a text form, as `ssh-keygen -Y sign` writes it. Raises ValueError."""
    lines = text.strip().splitlines()
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise ValueError("not an armored SSH signature")
    return base64.b64decode("".join(lines[1:-1]), validate=True)


def _signed_text(message: bytes, namespace: str) -> bytes:
    return _MAGIC + lp(namespace.encode(), b"", _HASH, hashlib.sha512(message).digest())


def _blob(public: bytes, namespace: str, signature: bytes) -> bytes:
    version = (1).to_bytes(4, "big")
    return _MAGIC + version + lp(public, namespace.encode(), b"", _HASH, lp(b"ssh-ed25519", signature))
