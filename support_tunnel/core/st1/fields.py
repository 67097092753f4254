"""Strict readers of single fields. Authenticated is not trusted: whoever has the code may still send anything (2.3).

Every refusal is a MessageError that names the field and never repeats its value, which may hold escape sequences.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import Final

from support_tunnel.core import ssh_key, wireguard_key
from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.scope import Scope

__all__ = [
    "HEAD",
    "LATEST",
    "NAME",
    "TUNNEL",
    "choice",
    "encoded",
    "endpoint",
    "fixed_bytes",
    "flag",
    "host",
    "integer",
    "items",
    "pattern",
    "record",
    "scope",
    "ssh_public",
    "wireguard_public",
    "wrong",
]

# Letters of Latin scripts, digits and a few signs: nothing a shell, a terminal, a config file or bidi text could act on.
NAME: Final = re.compile(r"[0-9A-Za-zÀ-ÖØ-öø-ſ](?:[0-9A-Za-zÀ-ÖØ-öø-ſ ._@+-]{0,62}[0-9A-Za-zÀ-ÖØ-öø-ſ._+-])?")
HEAD: Final = re.compile(r"[0-9a-f]{64}")
TUNNEL: Final = re.compile(r"[0-9a-f]{32}")
LATEST: Final = 253402300799  # 9999-12-31, the last second Python and `date` agree on


def wrong(field: str, why: str) -> MessageError:
    return MessageError("msg.value", f"the message's field {field} is not {why}")


def record(value: object, field: str, keys: frozenset[str]) -> Mapping[str, object]:
    """An object with exactly `keys`."""
    if not isinstance(value, dict):
        raise wrong(field, "an object")
    missing, unknown = keys - value.keys(), value.keys() - keys
    if missing:
        raise MessageError("msg.fields", f"{field} lacks the field {min(missing)}")
    if unknown:
        raise MessageError("msg.fields", f"{field} has a field that ST1 does not know")
    return value


def items(value: object, field: str, *, low: int, high: int) -> list[object]:
    if not isinstance(value, list) or not low <= len(value) <= high:
        raise wrong(field, f"a list of {low} to {high} entries")
    return value


def integer(value: object, field: str, *, low: int, high: int) -> int:
    # `type is int`: true is an int for isinstance.
    if type(value) is not int or not low <= value <= high:
        raise wrong(field, f"a whole number from {low} to {high}")
    return value


def pattern(value: object, field: str, shape: re.Pattern[str], why: str) -> str:
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise wrong(field, why)
    return value


def choice(value: object, field: str, options: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in options:
        raise wrong(field, "one of " + ", ".join(options))
    return value


def flag(value: object, field: str) -> bool:
    if type(value) is not bool:
        raise wrong(field, "true or false")
    return value


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def fixed_bytes(value: object, field: str, *, low: int, high: int) -> bytes:
    """Canonical base64 (RFC 4648 section 4, padded) of `low` to `high` bytes."""
    if isinstance(value, str) and value.isascii():
        try:
            data = base64.b64decode(value, validate=True)
        except binascii.Error:
            data = b""
        if low <= len(data) <= high and encoded(data) == value:
            return data
    raise wrong(field, f"base64 of {low} bytes" if low == high else f"base64 of {low} to {high} bytes")


def wireguard_public(value: object, field: str) -> str:
    try:
        return wireguard_key.parse_public(value if isinstance(value, str) else "")
    except UsageError:
        raise wrong(field, "a WireGuard public key") from None


def ssh_public(value: object, field: str) -> str:
    line = value if isinstance(value, str) else ""
    try:
        ssh_key.parse_public(line)
    except UsageError:
        raise wrong(field, "one line `ssh-ed25519 BASE64`") from None
    return line


def scope(value: object, field: str) -> Scope:
    found = record(value, field, frozenset({"files", "level", "ports"}))
    ports = items(found["ports"], f"{field}.ports", low=0, high=16)
    try:
        read = Scope(found["level"], tuple(ports), found["files"])  # type: ignore[arg-type]  # Scope checks each itself
    except (UsageError, TypeError):
        raise wrong(field, "a scope") from None
    if list(read.ports) != ports:
        raise wrong(f"{field}.ports", "sorted and without doubles")
    return read


_ENDPOINT: Final = re.compile(r"(?:([0-9.]{7,15})|\[([0-9a-f:.]{2,39})\]):([1-9][0-9]{0,4})")


def endpoint(value: object, field: str) -> str:
    """`IP:port` or `[IPv6]:port` of one host. A name would let whoever answers DNS choose, long after the seal was checked."""
    match = _ENDPOINT.fullmatch(value) if isinstance(value, str) else None
    if match is not None and isinstance(value, str) and int(match[3]) <= 65535:
        text = match[1] or match[2]
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            address = None
        if (
            address is not None
            and str(address) == text
            and (address.version == 4) == bool(match[1])
            and _a_host(address)
        ):
            return value
    raise wrong(field, "the IP address and port of one host")


_HOST: Final = re.compile(
    r"(?=[^:]{1,253}:)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?:([1-9][0-9]{0,4})"
)


def host(value: object, field: str) -> str:
    """`NAME:port` of a DNS name in small letters, with a dot in it; or an endpoint. Only where TLS says who may answer to that name."""
    match = _HOST.fullmatch(value) if isinstance(value, str) else None
    return value if match and isinstance(value, str) and int(match[1]) <= 65535 else endpoint(value, field)


def _a_host(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None
    # `is_reserved` is class E and 255.255.255.255 in IPv4; loopback stays, for a server on this machine.
    reserved = address.version == 4 and address.is_reserved
    return not (address.is_multicast or address.is_link_local or address.is_unspecified or mapped or reserved)
