"""The envelope every message travels in: a fixed header, a salt, and ChaCha20-Poly1305 under a key of its own (2.3).

Opening fails with one error type, whatever was done to the bytes; the codes tell a wrong kind or another transcript apart,
which is public knowledge anyway (header), from a seal that does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from support_tunnel.core.errors import MessageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.st1 import canonical
from support_tunnel.core.st1.entropy import Entropy
from support_tunnel.core.st1.schedule import expand

__all__ = [
    "ADMIN_CONTROL",
    "ANSWER",
    "CONFIRM",
    "DEVICE_CONTROL",
    "LONGEST_MESSAGE",
    "OFFER",
    "READY",
    "SALT_LENGTH",
    "Header",
    "Kind",
    "not_open",
    "payload",
    "seal",
    "split",
    "unseal",
]

_MAGIC: Final = b"ST\x01"
_TAG: Final = 16
SALT_LENGTH: Final = 32
LONGEST_MESSAGE: Final = 16_384


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message. `binding` is what follows the id in the header: nothing, a transcript, or that and a counter.

    `block` is what its text is padded to, so large that the size tells nothing about names, ports or signers.
    """

    number: int
    name: str
    direction: bytes
    binding: int
    block: int


OFFER: Final = Kind(1, "offer", b"device to admin", 0, 2304)
ANSWER: Final = Kind(2, "answer", b"admin to device", 32, 1024)
CONFIRM: Final = Kind(3, "confirm", b"device to admin", 32, 256)
READY: Final = Kind(4, "ready", b"device to admin", 32, 256)
ADMIN_CONTROL: Final = Kind(5, "admin's control", b"admin to device", 40, 256)
DEVICE_CONTROL: Final = Kind(6, "device's control", b"device to admin", 40, 256)


@dataclass(frozen=True, slots=True)
class Header:
    kind: Kind
    tunnel: TunnelId
    transcript: bytes = b""
    """SHA-256(M1) in M2, h2 in everything after it."""
    counter: int | None = None

    def pack(self) -> bytes:
        counter = b"" if self.counter is None else self.counter.to_bytes(8, "big")
        return _MAGIC + bytes([self.kind.number]) + bytes.fromhex(self.tunnel) + self.transcript + counter


def split(message: bytes, expected: Header) -> tuple[Header, bytes]:
    """Read the header in clear and compare it with what is expected here. Returns it (with its counter) and the rest."""
    kind = expected.kind
    if len(message) > LONGEST_MESSAGE or not message.startswith(_MAGIC) or len(message) < 20 + kind.binding:
        not_open()
    if message[3] != kind.number:
        raise MessageError("msg.kind", f"this is not the message of kind {kind.name} that belongs here")
    end = 20 + kind.binding
    bound = message[20:end]
    if message[4:20].hex() != expected.tunnel or bound[:32] != expected.transcript:
        raise MessageError("msg.transcript", "this message belongs to another tunnel or another offer")
    counter = int.from_bytes(bound[32:], "big") if kind.binding > 32 else None
    return Header(kind, expected.tunnel, expected.transcript, counter), message[end:]


def seal(key: bytes, header: Header, text: bytes, entropy: Entropy, *, also: bytes = b"") -> bytes:
    """Return the whole message: header, `also`, salt, sealed `text` (canonical JSON) padded with spaces to whole blocks."""
    salt = entropy.token(SALT_LENGTH)
    padded = text + b" " * (-len(text) % header.kind.block)
    clear = header.pack() + also + salt
    cipher, nonce = _cipher(key, header.kind, salt)
    return clear + cipher.encrypt(nonce, padded, clear)


def unseal(key: bytes, header: Header, rest: bytes, *, also: bytes = b"") -> bytes:
    """Open what `split` returned (after taking `also` off it). Raises MessageError `msg.auth` and nothing else."""
    salt, sealed = rest[:SALT_LENGTH], rest[SALT_LENGTH:]
    if len(sealed) % header.kind.block != _TAG:
        not_open()
    cipher, nonce = _cipher(key, header.kind, salt)
    try:
        return cipher.decrypt(nonce, sealed, header.pack() + also + salt)
    except InvalidTag:
        not_open()


def payload(kind: Kind, padded: bytes) -> object:
    """Read the JSON of what `unseal` returned. Raises MessageError `msg.json`: the sender has the code and breaks ST1."""
    text = padded.rstrip(b" ")
    if len(padded) - len(text) >= kind.block:  # one message, one padding
        text = b""
    try:
        return canonical.loads(text)
    except ValueError:  # UnicodeError and JSONDecodeError among them
        raise MessageError("msg.json", "the message is not canonical JSON") from None


def not_open() -> NoReturn:
    raise MessageError(
        "msg.auth",
        "this message does not open: it was damaged, or made by somebody without the code",
        next_step="Nothing was changed; wait for the right one, or ask for a new code.",
    )


def _cipher(key: bytes, kind: Kind, salt: bytes) -> tuple[ChaCha20Poly1305, bytes]:
    material = expand(key, b"seal", bytes([kind.number]), kind.direction, salt, length=44)
    return ChaCha20Poly1305(material[:32]), material[32:]
