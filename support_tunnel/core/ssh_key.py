"""Ed25519 keys in OpenSSH's formats. A public key is one line of two words: no options, no comment, no second line."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import textwrap

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.entropy import SYSTEM, Entropy
from support_tunnel.core.st1.schedule import lp

__all__ = ["fingerprint", "load_private", "new_keypair", "parse_public", "public_blob", "public_line"]

_SHAPE = re.compile(r"ssh-ed25519 ([A-Za-z0-9+/]{68})")
_HEAD = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"


def new_keypair(comment: str = "", *, entropy: Entropy = SYSTEM) -> tuple[Secret[str], str]:
    """Return (OpenSSH private key text, one-line public key). `comment` is kept in the private key, never in the public line.

    Format: OpenSSH's PROTOCOL.key, unencrypted. Written here because `cryptography` leaves the comment out.
    """
    seed = entropy.token(32)
    key = Ed25519PrivateKey.from_private_bytes(seed)
    raw = key.public_key().public_bytes_raw()
    check = entropy.token(4)
    section = check + check + lp(b"ssh-ed25519", raw, seed + raw, comment.encode())
    section += bytes(range(1, 1 + -len(section) % 8))
    body = b"openssh-key-v1\0" + lp(b"none", b"none", b"") + (1).to_bytes(4, "big") + lp(_HEAD + raw, section)
    lines = textwrap.wrap(base64.b64encode(body).decode(), 70)
    begin, end = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"
    return Secret("\n".join([begin, *lines, end, ""])), public_line(key.public_key())


def load_private(text: Secret[str], *, passphrase: Secret[str] | None = None) -> Ed25519PrivateKey:
    """Read an OpenSSH private key of type ssh-ed25519. Raises UsageError `key.ssh`."""
    try:
        key = load_ssh_private_key(text.reveal().encode(), passphrase.reveal().encode() if passphrase else None)
    except (ValueError, TypeError):
        raise UsageError("key.ssh", "this is not an OpenSSH private key, or its passphrase is wrong") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("key.ssh", "only ssh-ed25519 keys are used here", next_step="Make one with `fab key.create`.")
    return key


def public_line(key: Ed25519PublicKey) -> str:
    return "ssh-ed25519 " + base64.b64encode(_HEAD + key.public_bytes_raw()).decode()


def parse_public(line: str) -> Ed25519PublicKey:
    """Read exactly `ssh-ed25519 BASE64`: nothing before, behind or between. Raises UsageError `key.ssh`."""
    return Ed25519PublicKey.from_public_bytes(public_blob(line)[len(_HEAD) :])


def public_blob(line: str) -> bytes:
    """The key as SSH sends it (RFC 8709). Raises UsageError `key.ssh`."""
    match = _SHAPE.fullmatch(line)
    if match is None:
        raise _refusal()
    try:
        blob = base64.b64decode(match[1], validate=True)
    except binascii.Error:
        raise _refusal() from None
    if len(blob) != len(_HEAD) + 32 or not blob.startswith(_HEAD) or base64.b64encode(blob).decode() != match[1]:
        raise _refusal()
    return blob


def fingerprint(line: str) -> str:
    """`SHA256:...` as `ssh-keygen -l` prints it. Raises UsageError `key.ssh`."""
    digest = hashlib.sha256(public_blob(line)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _refusal() -> UsageError:
    return UsageError("key.ssh", "an SSH public key here is one line, `ssh-ed25519` and its base64, without a comment")
