"""An organisation's CA in memory, for tests: it certifies what it is asked for, or something a little different."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificateBuilder, SSHCertificateType

from support_tunnel.core import ssh_key
from support_tunnel.core.errors import HostError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.session_wish import SessionWish

__all__ = ["FakeCertifier", "certificate"]


def certificate(
    by: Ed25519PrivateKey,
    *,
    public_key: str,
    principals: Sequence[str],
    key_id: str,
    after: datetime,
    before: datetime,
    critical: Mapping[str, str] | None = None,
    extensions: Sequence[str] = (),
    kind: SSHCertificateType = SSHCertificateType.USER,
) -> str:
    """One line, as `ssh-keygen -s` writes it."""
    builder = (
        SSHCertificateBuilder()
        .public_key(ssh_key.parse_public(public_key))
        .serial(1)
        .type(kind)
        .key_id(key_id.encode())
        .valid_principals([name.encode() for name in principals])
        .valid_after(int(after.timestamp()))
        .valid_before(int(before.timestamp()))
    )
    for name, value in (critical or {}).items():
        builder = builder.add_critical_option(name.encode(), value.encode())
    for name in extensions:
        builder = builder.add_extension(name.encode(), b"")
    return builder.sign(by).public_bytes().decode()


class FakeCertifier:
    """`ports.Certifier`: `wishes` keeps what it was asked for; `principal` bends it, `refuses` is raised in its place."""

    def __init__(self, by: Ed25519PrivateKey, *, principal: str = "", refuses: HostError | None = None) -> None:
        self._by, self._principal, self._refuses = by, principal, refuses
        self.wishes: list[SessionWish] = []

    def certify(self, tunnel: TunnelId, wish: SessionWish) -> str:
        self.wishes.append(wish)
        if self._refuses is not None:
            raise self._refuses
        return certificate(
            self._by,
            public_key=wish.public_key,
            principals=(self._principal or wish.principal,),
            key_id=wish.identity,
            after=wish.after,
            before=wish.before,
            critical={"source-address": wish.source},
            extensions=wish.extensions,
        )
