"""What the messages say, typed: the JSON objects inside the seals, each field read strictly (docs/protocol.md, tables)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, cast, get_args

from support_tunnel.core.errors import MessageError
from support_tunnel.core.scope import Scope
from support_tunnel.core.st1 import fields
from support_tunnel.core.st1.kem import CLASSICAL, HYBRID, KemPublic, Suite, parse_kem_public
from support_tunnel.core.st1.paths import OFFERED, TRANSPORTS, HeadscalePath, Path, Transport, WireguardPath, read_path
from support_tunnel.core.st1.people import Helper, check_helpers, read_helpers

__all__ = [
    "LONGEST_TTL",
    "SHORTEST_TTL",
    "Answer",
    "Confirm",
    "Control",
    "ControlKind",
    "HeadscalePath",
    "Helper",
    "Offer",
    "Path",
    "Ready",
    "Transport",
    "WireguardPath",
    "to_seconds",
]

ControlKind = Literal["declined", "ping", "stop", "stopped"]
SHORTEST_TTL: Final = 60
LONGEST_TTL: Final = 86_400
PLAIN: Final = 1
"""The version of tunnels whose only way is WireGuard to the server's own port: what devices in the field speak."""
NEWEST: Final = 2
"""The one that knows UDP 443 and Headscale too, and with it more helpers than one."""
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SIGNER: Final = re.compile(r"ssh-ed25519(?:-cert-v01@openssh\.com)? [A-Za-z0-9+/]{68,4000}={0,2}")
_ANSWER: Final = frozenset({"name", "paths", "scope", "signature", "signer", "ssh_keys", "ttl", "v"})
_OFFER: Final = frozenset(
    {
        "kem",
        "max_ttl",
        "name",
        "sas_commitment",
        "scope",
        "ssh_host_key",
        "suite",
        "time",
        "transports",
        "v",
        "wireguard",
    }
)


def to_seconds(moment: datetime) -> int:
    """Whole seconds since 1970; refuses a naive time, which would mean another moment on another machine."""
    if moment.tzinfo is None:
        raise ValueError("naive datetime")
    return int(moment.timestamp())


def _version_of(transports: Iterable[Transport]) -> int:
    """The lowest that can say it: a device that wants WireGuard alone goes on working with older tools."""
    return PLAIN if set(transports) <= {"wireguard"} else NEWEST


def _read_version(value: object, *, sender: str, reader: str, if_newer: str, if_older: str) -> int:
    """Compare `v` before the keys, which another version may have others of. Raises MessageError `msg.version`."""
    if not isinstance(value, dict) or "v" not in value:
        return PLAIN  # the check of the keys names that
    theirs = fields.integer(value["v"], "v", low=1, high=999)
    if not PLAIN <= theirs <= NEWEST:
        raise MessageError(
            "msg.version",
            f"{sender} speaks version {theirs} of the protocol, {reader} version {NEWEST}",
            next_step=if_newer if theirs > NEWEST else if_older,
        )
    return theirs


def _time(value: object, field: str) -> datetime:
    return datetime.fromtimestamp(fields.integer(value, field, low=0, high=fields.LATEST), UTC)


@dataclass(frozen=True, slots=True)
class Offer:
    """M1: what the owner asks for and offers."""

    suite: Suite
    kem: KemPublic
    wireguard_public: str
    ssh_host_key: str
    scope: Scope
    max_ttl: int
    transports: tuple[Transport, ...]
    time: datetime
    name: str
    sas_commitment: bytes

    @property
    def version(self) -> int:
        return _version_of(self.transports)

    def to_json(self) -> dict[str, object]:
        return {
            "kem": self.kem.to_json(),
            "max_ttl": self.max_ttl,
            "name": self.name,
            "sas_commitment": fields.encoded(self.sas_commitment),
            "scope": self.scope.to_dict(),
            "ssh_host_key": self.ssh_host_key,
            "suite": self.suite,
            "time": to_seconds(self.time),
            "transports": list(self.transports),
            "v": self.version,
            "wireguard": self.wireguard_public,
        }

    @classmethod
    def from_json(cls, value: object) -> Offer:
        version = _read_version(
            value,
            sender="the device",
            reader="this tool",
            if_newer="Upgrade support-tunnel on this machine, then give the same code again.",
            if_older="The owner has to upgrade support-tunnel on the device, and ask again.",
        )
        found = fields.record(value, "offer", _OFFER)
        suite = cast(Suite, fields.choice(found["suite"], "suite", (HYBRID, CLASSICAL)))
        known = OFFERED if version > PLAIN else OFFERED[:PLAIN]
        named = fields.items(found["transports"], "transports", low=1, high=len(known))
        transports = tuple(cast(Transport, fields.choice(one, "transports", known)) for one in named)
        alone = "wireguard-443" in transports and "wireguard" not in transports
        if alone or len(set(transports)) != len(transports) or _version_of(transports) != version:
            raise fields.wrong("transports", f"a list of version {version}, without doubles")
        return cls(
            suite=suite,
            kem=parse_kem_public(found["kem"], suite),
            wireguard_public=fields.wireguard_public(found["wireguard"], "wireguard"),
            ssh_host_key=fields.ssh_public(found["ssh_host_key"], "ssh_host_key"),
            scope=fields.scope(found["scope"], "scope"),
            max_ttl=fields.integer(found["max_ttl"], "max_ttl", low=SHORTEST_TTL, high=LONGEST_TTL),
            transports=transports,
            time=_time(found["time"], "time"),
            name=fields.pattern(found["name"], "name", fields.NAME, "a printable name of 1 to 64 characters"),
            sas_commitment=fields.fixed_bytes(found["sas_commitment"], "sas_commitment", low=32, high=32),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """M2: who wants to help, along which paths, for what and how long."""

    name: str
    paths: tuple[Path, ...]
    ssh_keys: tuple[str, ...]
    scope: Scope
    ttl: int
    signer: str
    """The signer's line: an ssh-ed25519 key, or a certificate for one."""
    signature: bytes = b""
    version: int = PLAIN
    """The offer's."""
    helpers: tuple[Helper, ...] = ()
    """Who may log in besides the admin, with keys of their own; nobody in version 1."""

    def unsigned_json(self) -> dict[str, object]:
        """All but the signature: what is signed."""
        helpers = {"helpers": [helper.to_json() for helper in self.helpers]} if self.version > PLAIN else {}
        return helpers | {
            "name": self.name,
            "paths": [path.to_json() for path in self.paths],
            "scope": self.scope.to_dict(),
            "signer": self.signer,
            "ssh_keys": list(self.ssh_keys),
            "ttl": self.ttl,
            "v": self.version,
        }

    def to_json(self) -> dict[str, object]:
        return {**self.unsigned_json(), "signature": fields.encoded(self.signature)}

    def signed(self, signature: bytes) -> Answer:
        return replace(self, signature=signature)

    @classmethod
    def from_json(cls, value: object) -> Answer:
        version = _read_version(
            value,
            sender="the helper's tool",
            reader="this device",
            if_newer="Upgrade support-tunnel on this device (`inv upgrade` says how), and ask again.",
            if_older="Your helper has to upgrade support-tunnel; then ask again.",
        )
        found = fields.record(value, "answer", _ANSWER | {"helpers"} if version > PLAIN else _ANSWER)
        paths = fields.items(found["paths"], "paths", low=1, high=4)
        keys = fields.items(found["ssh_keys"], "ssh_keys", low=1, high=4)
        read = cls(
            name=fields.pattern(found["name"], "name", fields.NAME, "a printable name of 1 to 64 characters"),
            paths=tuple(read_path(path, TRANSPORTS[:version]) for path in paths),
            ssh_keys=tuple(fields.ssh_public(key, "ssh_keys") for key in keys),
            scope=fields.scope(found["scope"], "scope"),
            ttl=fields.integer(found["ttl"], "ttl", low=SHORTEST_TTL, high=LONGEST_TTL),
            signer=fields.pattern(found["signer"], "signer", _SIGNER, "an ssh-ed25519 key or certificate"),
            signature=fields.fixed_bytes(found["signature"], "signature", low=1, high=1024),
            version=version,
            helpers=read_helpers(found["helpers"]) if version > PLAIN else (),
        )
        check_helpers(read.helpers, admin=read.name, keys=(*read.ssh_keys, read.signer), paths=read.paths)
        return read


@dataclass(frozen=True, slots=True)
class Confirm:
    """M3: reveals the nonce behind M1's commitment; no privilege yet."""

    nonce: bytes
    time: datetime

    def to_json(self) -> dict[str, object]:
        return {"nonce": fields.encoded(self.nonce), "time": to_seconds(self.time)}

    @classmethod
    def from_json(cls, value: object) -> Confirm:
        found = fields.record(value, "confirm", frozenset({"nonce", "time"}))
        nonce = fields.fixed_bytes(found["nonce"], "nonce", low=32, high=32)
        return cls(nonce, _time(found["time"], "time"))


@dataclass(frozen=True, slots=True)
class Ready:
    """M4: the door is open. `path` counts from 0 in the answer's order; `log_head` is the device's audit log (2.14)."""

    user: str
    until: datetime
    path: int
    log_head: str

    def to_json(self) -> dict[str, object]:
        return {"log_head": self.log_head, "path": self.path, "until": to_seconds(self.until), "user": self.user}

    @classmethod
    def from_json(cls, value: object) -> Ready:
        found = fields.record(value, "ready", frozenset({"log_head", "path", "until", "user"}))
        return cls(
            user=fields.pattern(found["user"], "user", _USER, "a user name"),
            until=_time(found["until"], "until"),
            path=fields.integer(found["path"], "path", low=0, high=3),
            log_head=fields.pattern(found["log_head"], "log_head", fields.HEAD, "64 hex digits"),
        )


@dataclass(frozen=True, slots=True)
class Control:
    """M5 and on. `counter` rises strictly in each direction; it travels in the header."""

    kind: ControlKind
    log_head: str
    time: datetime
    counter: int

    def to_json(self) -> dict[str, object]:
        return {"control": self.kind, "log_head": self.log_head, "time": to_seconds(self.time)}

    @classmethod
    def from_json(cls, value: object, counter: int) -> Control:
        found = fields.record(value, "control", frozenset({"control", "log_head", "time"}))
        return cls(
            kind=cast(ControlKind, fields.choice(found["control"], "control", get_args(ControlKind))),
            log_head=fields.pattern(found["log_head"], "log_head", fields.HEAD, "64 hex digits"),
            time=_time(found["time"], "time"),
            counter=counter,
        )
