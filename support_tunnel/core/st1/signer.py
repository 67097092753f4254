"""Who may be the helper (2.8): mode A, a key the device has or has not met; mode B, a certificate of a pinned organisation.

Everything here is decided before the owner is shown a word about the signer. A certificate alone proves nothing, it is public:
the signature over both messages by the certified key does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import fields, sshsig
from support_tunnel.core.st1.payloads import to_seconds

__all__ = ["PRINCIPAL", "KeySigner", "Organisation", "Signer", "SignerIdentity", "Trust", "verify_signer"]

PRINCIPAL: Final = "support-tunnel-signer"
_CERTIFICATE: Final = "ssh-ed25519-cert-v01@openssh.com "


class Signer(Protocol):
    """Signs answers; an agent or a signing service can stand here as well as a key in memory."""

    @property
    def line(self) -> str:
        """`ssh-ed25519 BASE64`, or `ssh-ed25519-cert-v01@openssh.com BASE64` for the same key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """SSHSIG blob in namespace `st1-answer`, made by the key itself (not "by the certificate")."""
        ...


class KeySigner:
    """A private key in memory, with a certificate for it when an organisation gave one."""

    __slots__ = ("_key", "line")

    def __init__(self, key: Ed25519PrivateKey, *, certificate: str | None = None) -> None:
        self._key = key
        # Not judged here: whether a certificate counts is for the device to say.
        self.line = certificate or ssh_key.public_line(key.public_key())

    @classmethod
    def from_openssh(
        cls, private: Secret[str], *, passphrase: Secret[str] | None = None, certificate: str | None = None
    ) -> KeySigner:
        """Raises UsageError `key.ssh`."""
        return cls(ssh_key.load_private(private, passphrase=passphrase), certificate=certificate)

    def sign(self, message: bytes) -> bytes:
        return sshsig.sign(self._key, message)


@dataclass(frozen=True, slots=True)
class Organisation:
    """A name the owner will read, and the SSH CA keys that may vouch for it (two during a rotation)."""

    name: str
    authorities: tuple[str, ...]

    def __post_init__(self) -> None:
        if not fields.NAME.fullmatch(self.name):
            raise UsageError("trust.name", "an organisation's name is 1 to 64 printable characters")
        for line in self.authorities:
            ssh_key.parse_public(line)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom this device lets ask. No organisation: mode A. One or more: mode B, nobody else gets as far as a prompt."""

    organisations: tuple[Organisation, ...] = ()
    revoked: frozenset[str] = field(default_factory=frozenset)
    """SHA-256 fingerprints of signer or CA keys that are refused in both modes."""
    principal: str = PRINCIPAL
    """What a signer's certificate has to name."""

    def authorities(self, organisation: str) -> tuple[str, ...]:
        """The CA keys that may certify a login for `organisation` (2.9): its own, without those that were revoked."""
        return tuple(
            line
            for one in self.organisations
            if one.name == organisation
            for line in one.authorities
            if ssh_key.fingerprint(line) not in self.revoked
        )


@dataclass(frozen=True, slots=True)
class SignerIdentity:
    """A signer whose signature held. `organisation` is None when nobody vouches for it."""

    public_line: str
    fingerprint: str
    organisation: str | None
    key_id: str = ""
    """The certificate's own words (person, ticket); printable ASCII or empty."""


def verify_signer(line: str, message: bytes, signature: bytes, *, trust: Trust, now: datetime) -> SignerIdentity:
    """Check signer and signature in whichever mode `trust` means. Raises MessageError `signer.*` or `msg.value`."""
    certificate = _certificate(line) if line.startswith(_CERTIFICATE) else None
    if certificate is None:
        public_line = fields.ssh_public(line, "signer")
    else:
        public_line = _key_line(certificate.public_key)
    if not sshsig.verifies(ssh_key.parse_public(public_line), message, signature):
        raise _refused("signature", "the helper's signature does not belong to this answer")
    if (fingerprint := ssh_key.fingerprint(public_line)) in trust.revoked:
        raise _refused("revoked", "this helper's key was revoked on this device")
    if not trust.organisations:
        return SignerIdentity(public_line, fingerprint, None)
    if certificate is None:
        raise _refused("required", "this device lets in only helpers of its organisation, with its certificate")
    return _vouched(certificate, public_line, trust, now)


def _vouched(certificate: SSHCertificate, public_line: str, trust: Trust, now: datetime) -> SignerIdentity:
    authority = _key_line(certificate.signature_key)
    organisation = next((o.name for o in trust.organisations if authority in o.authorities), None)
    if organisation is None:
        raise _refused("unknown_ca", "the helper's certificate is of an organisation this device does not know")
    # Only now, when the key is one of ours: a stranger's authority never gets as far as a signature parser.
    try:
        certificate.verify_cert_signature()
    except InvalidSignature:
        raise _refused("certificate", "the helper's certificate is not genuine") from None
    if ssh_key.fingerprint(authority) in trust.revoked:
        raise _refused("revoked", "the authority behind this helper's certificate was revoked on this device")
    if certificate.type is not SSHCertificateType.USER:
        raise _refused("type", "the helper's certificate is one for hosts")
    # OpenSSH reads "no principals" as "all"; here it is none.
    if trust.principal.encode() not in certificate.valid_principals:
        raise _refused("principal", f"the helper's certificate is not for the principal {trust.principal}")
    if certificate.critical_options:
        raise _refused("options", "the helper's certificate has conditions that cannot be checked here")
    moment = to_seconds(now)
    if moment < certificate.valid_after:
        raise _refused("not_yet", "the helper's certificate is not valid yet by this device's clock")
    if moment >= certificate.valid_before:
        raise _refused("expired", "the helper's certificate has expired by this device's clock")
    key_id = certificate.key_id.decode("ascii", "replace")
    shown = key_id if fields.NAME.fullmatch(key_id) else ""
    return SignerIdentity(public_line, ssh_key.fingerprint(public_line), organisation, shown)


def _certificate(line: str) -> SSHCertificate:
    try:
        found = load_ssh_public_identity(line.encode())
    except Exception:  # noqa: BLE001 - a stranger's bytes in a foreign parser: whatever it raises, the certificate is unreadable
        raise _refused("certificate", "the helper's certificate cannot be read") from None
    if not isinstance(found, SSHCertificate):
        raise _refused("certificate", "the helper's certificate cannot be read")
    return found


def _key_line(read: Callable[[], object]) -> str:
    try:
        key = read()
    except Exception:  # noqa: BLE001 - as above: the bytes of this key are a stranger's
        raise _refused("certificate", "the helper's certificate cannot be read") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _refused("type", "the helper's certificate is not of Ed25519 keys throughout")
    return ssh_key.public_line(key)


def _refused(code: str, message: str) -> MessageError:
    return MessageError(
        f"signer.{code}",
        message,
        next_step="The tunnel has ended; ask your support to check their key, then request again.",
    )
