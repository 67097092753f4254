"""The ways from a device to its tunnel server, as M2 names them: one class a transport, each with a block of its own, read strictly.

Whoever wrote a path may be hostile (2.3): what stands here reaches a configuration file and a program's arguments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from cryptography.hazmat.primitives.serialization import Encoding

from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import fields

__all__ = ["OFFERED", "SECOND_PORT", "TRANSPORTS", "HeadscalePath", "Path", "Transport", "WireguardPath", "read_path"]

Transport = Literal["wireguard", "headscale", "wireguard-443"]
TRANSPORTS: Final[tuple[Transport, ...]] = ("wireguard", "headscale")
"""Of a path; the first so many are those of each version."""
OFFERED: Final[tuple[Transport, ...]] = (*TRANSPORTS, "wireguard-443")
"""Of an offer: the last one allows a second path of `wireguard`, to UDP 443, where networks let less through."""
SECOND_PORT: Final = 443

_JOIN_KEY: Final = re.compile(r"hskey-auth-[A-Za-z0-9_-]{20,200}")
"""Headscale's form of a pre-auth key (hscontrol/db/preauth_keys.go), and nothing that a shell or a file could act on."""
_LONGEST_AUTHORITY: Final = 2048
_SCHEME: Final = "https://"


@dataclass(frozen=True, slots=True)
class WireguardPath:
    """WireGuard, straight to the server's UDP port."""

    endpoint: str
    wireguard_public: str
    transport: ClassVar[Transport] = "wireguard"

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @property
    def way(self) -> str:
        """`udp`, or `udp-443`."""
        return f"udp-{SECOND_PORT}" if self.port == SECOND_PORT else "udp"

    def to_json(self) -> dict[str, object]:
        return {"endpoint": self.endpoint, "transport": self.transport, "wireguard": self.wireguard_public}

    @classmethod
    def from_json(cls, value: object) -> WireguardPath:
        found = fields.record(value, "paths", frozenset({"endpoint", "transport", "wireguard"}))
        return cls(
            endpoint=fields.endpoint(found["endpoint"], "paths.endpoint"),
            wireguard_public=fields.wireguard_public(found["wireguard"], "paths.wireguard"),
        )


@dataclass(frozen=True, slots=True)
class HeadscalePath:
    """A Headscale server: directly where UDP gets through, by its relay over TLS where it does not."""

    control: str
    """`https://IP:port`, in the form of an endpoint; of a shared server also `https://NAME:port`."""
    authority: bytes
    """DER of the one certificate that may vouch for it."""
    join_key: Secret[str]
    """Lets whoever has it join once; tagged, ephemeral, for minutes."""
    shared: bool = False
    """One for many tunnels, which gives out addresses that nobody knows beforehand. Else the tunnel server's own, for this tunnel alone."""
    transport: ClassVar[Transport] = "headscale"

    @property
    def authority_pem(self) -> str:
        from cryptography import x509  # here, as below: few processes meet a certificate, and each would load this

        return x509.load_der_x509_certificate(self.authority).public_bytes(Encoding.PEM).decode()

    def to_json(self) -> dict[str, object]:
        return {
            "authority": fields.encoded(self.authority),
            "control": self.control,
            "join_key": self.join_key.reveal(),
            "shared": self.shared,
            "transport": self.transport,
        }

    @classmethod
    def from_json(cls, value: object) -> HeadscalePath:
        found = fields.record(value, "paths", frozenset({"authority", "control", "join_key", "shared", "transport"}))
        shared = fields.flag(found["shared"], "paths.shared")
        return cls(
            control=_control(found["control"], shared=shared),
            authority=_authority(found["authority"]),
            join_key=Secret(fields.pattern(found["join_key"], "paths.join_key", _JOIN_KEY, "a Headscale pre-auth key")),
            shared=shared,
        )


Path = WireguardPath | HeadscalePath


def read_path(value: object, transports: tuple[Transport, ...]) -> Path:
    """Read a path of one of `transports`: those that the message's version knows. Raises MessageError `msg.fields`, `msg.value`."""
    named = value.get("transport") if isinstance(value, dict) else None
    transport = fields.choice(named, "paths.transport", transports)
    return (HeadscalePath if transport == "headscale" else WireguardPath).from_json(value)


def _control(value: object, *, shared: bool) -> str:
    """Of a server that lives for one tunnel no name: nobody has had the time to learn one, and DNS would choose who is asked."""
    if not isinstance(value, str) or not value.startswith(_SCHEME):
        raise fields.wrong("paths.control", "an https:// address")
    place = value.removeprefix(_SCHEME)
    return _SCHEME + (fields.host(place, "paths.control") if shared else fields.endpoint(place, "paths.control"))


def _authority(value: object) -> bytes:
    """One certificate of an authority, exactly. Its dates are judged by whoever connects, whose clock may be another."""
    data = fields.fixed_bytes(value, "paths.authority", low=1, high=_LONGEST_AUTHORITY)
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(data)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        exact = certificate.public_bytes(Encoding.DER) == data
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise fields.wrong("paths.authority", "the certificate of an authority") from None
    if not (exact and constraints.ca):
        raise fields.wrong("paths.authority", "the certificate of an authority")
    return data
