"""The post office: who may do what with a tunnel's messages (2.5, 2.17). No HTTP and no SQL in here.

A refusal never tells whether a tunnel exists to somebody who may not read it, and it takes the same look-ups either way.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hmac import compare_digest

from support_tunnel.api.refusal import Refusal, bad_token, unknown_tunnel
from support_tunnel.api.settings import MAX_BLOB
from support_tunnel.api.store import (
    AdminToken,
    Counts,
    Message,
    Outcome,
    Put,
    Receipt,
    Store,
    StoreUnavailable,
    Summary,
    Tunnel,
)
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Clock

__all__ = ["Credentials", "Delivery", "PostOffice"]

DEVICE_SLOTS = frozenset({"confirm", "ready", "control-device"})
ADMIN_SLOTS = frozenset({"answer", "control-admin"})
USE_NOTED_EVERY = timedelta(minutes=1)
"""`last_used` is a date for people; a disk write at each poll would be paid for nothing."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request showed, as bytes; `repr` hides both."""

    token: bytes | None
    claim: bytes | None

    def __repr__(self) -> str:
        return "Credentials(***)"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody let in; `admin` is the token's name, empty for the device."""

    admin: str
    slots: frozenset[str]


@dataclass(frozen=True, slots=True)
class Delivery:
    closed: bool
    messages: Sequence[Message]


class PostOffice:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._nobody = secrets.token_bytes(32)  # a hash that nothing has: the comparison runs for unknown ids too

    def open(self, row: Put) -> bool:
        """Register a tunnel; False when this very one was there. Anybody may: the id is derived from a secret code."""
        _check_size(row.offer)
        outcome = self._store.put(row, self._clock.now())
        if outcome is Outcome.TAKEN:
            raise Refusal(409, "tunnel.exists", "that tunnel was opened with another offer")
        return outcome is Outcome.STORED

    def post(self, tunnel: TunnelId, slot: str, data: bytes, shown: Credentials) -> bool:
        """Append a message; False when this very one was there."""
        _, visitor = self._admit(tunnel, shown)
        if slot not in visitor.slots:
            raise unknown_tunnel()
        _check_size(data)
        receipt = self._store.append(tunnel, slot, data, by=visitor.admin, now=self._clock.now())
        match receipt.outcome:
            case Outcome.GONE:
                raise unknown_tunnel()
            case Outcome.CLOSED:
                raise Refusal(409, "tunnel.closed", "the tunnel is closed")
            case Outcome.TAKEN:
                raise _taken(slot, receipt)
        return receipt.outcome is Outcome.STORED

    def read(self, tunnel: TunnelId, after: int, shown: Credentials) -> Delivery:
        row, _ = self._admit(tunnel, shown)
        return Delivery(row.closed is not None, self._store.messages(tunnel, after))

    def close(self, tunnel: TunnelId, shown: Credentials) -> None:
        self._admit(tunnel, shown)
        self._store.close_tunnel(tunnel, self._clock.now())

    def open_tunnels(self, shown: Credentials) -> Sequence[Summary]:
        self._check_right(shown, "list", "this token may not list tunnels")
        return self._store.open_tunnels(self._clock.now())

    def counts(self, shown: Credentials) -> Counts:
        self._check_right(shown, "metrics", "this token may not read metrics")
        return self._store.count(self._clock.now())

    def _check_right(self, shown: Credentials, right: str, otherwise: str) -> None:
        admin = self._admin(shown)
        if admin is None:
            raise bad_token()
        if right not in admin.rights:
            raise Refusal(403, "api.token", otherwise)

    def _admit(self, tunnel: TunnelId, shown: Credentials) -> tuple[Tunnel, Visitor]:
        if shown.token is None and shown.claim is not None:
            raise unknown_tunnel()
        row = self._store.tunnel(tunnel, self._clock.now())
        admin = self._admin(shown)
        is_device = _matches(shown.token, row.device_sha256 if row else self._nobody)
        has_claim = _matches(shown.claim, row.claim_sha256 if row else self._nobody)
        if row is not None and is_device:
            return row, Visitor("", DEVICE_SLOTS)
        if admin is None:
            raise bad_token()
        if row is None or not has_claim or "answer" not in admin.rights:
            raise unknown_tunnel()
        return row, Visitor(admin.name, ADMIN_SLOTS)

    def _admin(self, shown: Credentials) -> AdminToken | None:
        admin = self._store.live_token(hashlib.sha256(shown.token or b"").digest())
        if admin is None or shown.token is None:
            return None
        now = self._clock.now()
        if admin.last_used is None or now - admin.last_used >= USE_NOTED_EVERY:
            with suppress(StoreUnavailable):  # a full disk must not stop reading (test 35)
                self._store.note_use(admin.name, now)
        return admin


def _matches(shown: bytes | None, stored_sha256: bytes) -> bool:
    equal = compare_digest(hashlib.sha256(shown or b"").digest(), stored_sha256)
    return equal and shown is not None


def _check_size(blob: bytes) -> None:
    if len(blob) > MAX_BLOB:
        raise Refusal(413, "api.size", f"a message holds at most {MAX_BLOB} bytes")


def _taken(slot: str, receipt: Receipt) -> Refusal:
    if slot != "answer" or receipt.at is None:
        return Refusal(409, "api.slot", "that message was already posted with other contents")
    return Refusal(
        409,
        "answer.late",
        "the tunnel is already answered",
        details={"by": receipt.by, "since": receipt.at.isoformat()},
    )
