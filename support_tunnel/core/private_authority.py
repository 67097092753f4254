"""A certificate authority of one tunnel: it vouches for one address and then forgets its own key, so it never vouches again.

The tunnel server gets the certificate and its key over ssh, the device the authority inside the sealed ANSWER.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret

__all__ = ["Vouched", "as_der", "vouch_for"]


@dataclass(frozen=True, slots=True)
class Vouched:
    """`authority` is DER, for those who connect; `certificate` PEM and `key` PEM are for the server."""

    authority: bytes
    certificate: str
    key: Secret[str]

    @property
    def authority_pem(self) -> str:
        return x509.load_der_x509_certificate(self.authority).public_bytes(Encoding.PEM).decode()


def vouch_for(address: str, *, begins: datetime, ends: datetime) -> Vouched:
    """Make an authority and its one certificate, for a numeric address. P-256, which every TLS library takes."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, subject = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        for text in ("support-tunnel", "support-tunnel server")
    )

    def builder(named: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )

    authority = (
        builder(issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Vouched(
        authority.public_bytes(Encoding.DER), certificate.public_bytes(Encoding.PEM).decode(), Secret(private)
    )


def as_der(pem: str) -> bytes:
    """The one certificate of an authority in a file of somebody's. Raises UsageError `config.authority`."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
        authorities = [one for one in found if one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca]
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        authorities, found = [], []
    if len(found) != 1 or not authorities:
        raise UsageError(
            "config.authority",
            "headscale_authority is not exactly one certificate of an authority, in PEM",
            next_step="Name the file of the authority that the server's certificate is by (docs/headscale.md).",
        )
    return found[0].public_bytes(Encoding.DER)
