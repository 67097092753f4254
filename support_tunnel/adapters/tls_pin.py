"""TLS to a server known by the hash of its certificate, or by one private authority, instead of by the public ones.

The check sits inside the handshake of the very connection that will carry the request: there is no moment between looking
at a certificate and using it, and a wrong server sees no byte of ours. It must not fall back to anything else.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Callable
from typing import Any, NoReturn

from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError

__all__ = ["authority_context", "parse_fingerprint", "pinned_context"]


def _another() -> HostError:
    return HostError(
        "api.pin",
        "the API shows another certificate than the pinned one; somebody may be answering for the API",
        next_step="Ask the API's operator for its fingerprint by another way; do not just replace the pin.",
    )


def parse_fingerprint(
    text: str, *, copied_from: str = "Copy the `fingerprint:` line that `fab api.serve` prints."
) -> bytes:
    """Accept SHA-256 in hex, with or without colons and a `sha256:` before it. Raises UsageError `api.fingerprint`."""
    cleaned = text.strip().lower().removeprefix("sha256:").replace(":", "")
    try:
        digest = bytes.fromhex(cleaned)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UsageError(
            "api.fingerprint",
            "a certificate fingerprint is SHA-256: 64 hex digits",
            next_step=copied_from,
        )
    return digest


def authority_context(pem: str) -> ssl.SSLContext:
    """Build a client context that trusts the certificates in `pem` as authorities, and no other. Raises UsageError `api.authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks names, requires a certificate, knows no authority yet
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise UsageError(
            "api.authority", "the certificate authority's file holds no certificate that can be read (PEM is expected)"
        ) from None
    return context


def pinned_context(sha256: bytes, *, another: Callable[[], SupportTunnelError] = _another) -> ssl.SSLContext:
    """Build a client context that completes a handshake with exactly one certificate; to any other it raises `another()`."""

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, *args: Any, **kwargs: Any) -> None:
            super().do_handshake(*args, **kwargs)
            # The handshake proved that the peer holds the key of this certificate; what is left is whose it is.
            shown = hashlib.sha256(self.getpeercert(binary_form=True) or b"").digest()
            if not hmac.compare_digest(shown, sha256):
                self.close()
                raise another()

    class PinnedContext(ssl.SSLContext):
        def wrap_bio(self, *args: Any, **kwargs: Any) -> NoReturn:
            # That way in would skip PinnedSocket and accept any certificate.
            raise NotImplementedError("a pinned context makes sockets only")

    context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # no authority vouches for it; PinnedSocket is what verifies
    context.sslsocket_class = PinnedSocket
    return context
