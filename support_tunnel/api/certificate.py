"""The API's TLS certificate when the operator has none: made once, kept in one 0600 file, known to clients by its hash.

It proves nothing to a certificate authority and need not: the pin is the identity, so the file must not change by itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Clock

__all__ = ["ensure_certificate", "fingerprint"]

LIFETIME = timedelta(days=3650)


def ensure_certificate(folder: Path, names: Sequence[str], clock: Clock) -> Path:
    """Return the PEM file with key and certificate, making it on the first run. Raises UsageError `api.tls`."""
    path = folder / "tls.pem"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _write_new(path, _make(names, clock))
    if path.stat().st_mode & 0o077:
        raise UsageError(
            "api.tls", f"{path} can be read by others", next_step="Remove it; a new one is made and clients pin that."
        )
    return path


def fingerprint(certificate: Path) -> str:
    """SHA-256 of the first certificate in a PEM file, in hex: what clients pin."""
    try:
        first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except (OSError, ValueError) as error:
        raise UsageError("api.tls", f"{certificate} holds no certificate that can be read") from error
    return hashlib.sha256(first.public_bytes(serialization.Encoding.DER)).hexdigest()


def _make(names: Sequence[str], clock: Clock) -> bytes:
    # P-256 because every TLS library in the field takes it; Ed25519 certificates are refused by some.
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "support-tunnel mailbox")])
    now = clock.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_new(path: Path, content: bytes) -> None:
    """Write whole or not at all: half a key file would lock the operator out at the next start."""
    partial = path.with_suffix(".new")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
