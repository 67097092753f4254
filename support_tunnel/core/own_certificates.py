"""The certificates that an organisation gives us (2.8, 2.9), judged before a device judges them: there a wrong one costs the code.

What is asked for here is exactly what ST1 names. That a device trusts the authority behind it, only the device can say.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.session_wish import EARLIER, SessionWish

__all__ = ["session_certificate", "signer_certificate"]

_KIND: Final = "ssh-ed25519-cert-v01@openssh.com"


def signer_certificate(text: str, public_line: str, *, now: datetime) -> str:
    """The one line of a signer's certificate. Raises UsageError `signer.certificate`, `signer.expired`."""
    line, found = _read(text, "signer.certificate", "your certificate")
    if _public_line(found) != public_line:
        raise UsageError(
            "signer.certificate",
            "your certificate is for another key than your own",
            next_step="Have your organisation certify the .pub file that lies beside your key.",
        )
    if found.type is not SSHCertificateType.USER:
        raise UsageError("signer.certificate", "your certificate is one for hosts", next_step=_RENEW)
    if now.timestamp() >= found.valid_before:
        ended = datetime.fromtimestamp(found.valid_before, UTC)
        raise UsageError(
            "signer.expired",
            f"your certificate expired at {ended:%Y-%m-%d %H:%M} UTC, and a device of your organisation would refuse it",
            next_step=_RENEW,
        )
    return line


def session_certificate(text: str, wish: SessionWish) -> str:
    """The one line of a certificate that is what `wish` asks for and no more. Raises HostError `certificate.*`.

    It may end earlier than the session. It may not be wider: a key that leaks must not open anything else.
    """
    try:
        line, found = _read(text, "certificate.unreadable", "what the certificate command gave")
    except UsageError as error:
        raise HostError(error.code, error.message, next_step=_COMMAND) from None
    options = {name.decode(errors="replace"): value for name, value in found.critical_options.items()}
    source = options.get("source-address", b"").decode(errors="replace")
    wrong = {
        "key": _public_line(found) != wish.public_key,
        "type": found.type is not SSHCertificateType.USER,
        "principal": [one.decode(errors="replace") for one in found.valid_principals] != [wish.principal],
        "time": not _within(found, wish),
        "source": set(options) != {"source-address"} or source != wish.source,
        "extensions": sorted(one.decode(errors="replace") for one in found.extensions) != sorted(wish.extensions),
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise HostError(
                f"certificate.{what}",
                f"the certificate for this session is {_SAYS[what]}",
                next_step=_COMMAND,
            )
    return line


def _within(found: SSHCertificate, wish: SessionWish) -> bool:
    begins, now, ends = (int(when.timestamp()) for when in (wish.after, wish.after + EARLIER, wish.before))
    return begins <= found.valid_after <= now < found.valid_before <= ends


def _read(text: str, code: str, what: str) -> tuple[str, SSHCertificate]:
    words = text.split()
    line = " ".join(words[:2])
    if words[:1] == [_KIND]:
        with suppress(Exception):  # a foreign parser on foreign bytes: whatever it raises is said below
            found = load_ssh_public_identity(line.encode())
            if isinstance(found, SSHCertificate):
                found.verify_cert_signature()
                found.public_key()
                return line, found
    raise UsageError(code, f"{what} is not an Ed25519 certificate of OpenSSH ({_KIND})", next_step=_RENEW)


def _public_line(found: SSHCertificate) -> str:
    key = found.public_key()
    return ssh_key.public_line(key) if isinstance(key, Ed25519PublicKey) else ""


_RENEW: Final = "Ask your organisation's CA for a new one; see docs/organisation.md."
_COMMAND: Final = "Correct `session_certificate` (docs/organisation.md), then ask the owner for a new code."
_SAYS: Final = {
    "key": "for another key",
    "type": "one for hosts",
    "principal": "not for this session alone",
    "time": "not for the time of this session",
    "source": "not bound to the tunnel server's address alone",
    "extensions": "for more, or less, than the owner offered",
}
