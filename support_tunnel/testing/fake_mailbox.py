"""The mailbox in memory, for tests of flows: one post office, any number of device and admin faces, any thread.

The same cases run over it and over the real API (tests/api/test_mailbox_contract.py); it must refuse what that refuses.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import LONGEST_LIFE, Blob, Clock, Slot, TunnelRow
from support_tunnel.core.secret import Secret

__all__ = ["FakeMailbox", "FakePostOffice"]

MAX_BLOB = 16 * 1024
CONTROL_KEPT = 16
DEVICE_SLOTS = ("confirm", "ready", "control-device")
ADMIN_SLOTS = ("answer", "control-admin")


@dataclass(slots=True)
class _Box:
    device_token: Secret[str]
    claim: Secret[bytes]
    ttl: int
    created: datetime
    blobs: list[Blob]
    last: int = 1
    closed: bool = False
    answered: tuple[str, datetime] | None = None

    @property
    def expires(self) -> datetime:
        return self.created + timedelta(seconds=self.ttl)


@dataclass(slots=True)
class FakePostOffice:
    """What the API is to both sides. A test may look into and change `boxes`, as a corrupt API would."""

    clock: Clock
    boxes: dict[TunnelId, _Box] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def device(self, token: Secret[str] | None = None) -> FakeMailbox:
        return FakeMailbox(self, device_token=token or Secret(secrets.token_urlsafe(32)))

    def admin(
        self, name: str = "admin", *, claim: Secret[bytes] | None = None, rights: Iterable[str] = ("answer", "list")
    ) -> FakeMailbox:
        return FakeMailbox(self, admin=name, claim=claim, rights=frozenset(rights))

    def box(self, tunnel: TunnelId) -> _Box | None:
        found = self.boxes.get(tunnel)
        return found if found is not None and found.expires > self.clock.now() else None


class FakeMailbox:
    """One face of a post office; implements `ports.Mailbox`."""

    def __init__(
        self,
        office: FakePostOffice,
        *,
        device_token: Secret[str] | None = None,
        admin: str | None = None,
        claim: Secret[bytes] | None = None,
        rights: frozenset[str] = frozenset(),
    ) -> None:
        self.device_token = device_token or Secret(secrets.token_urlsafe(32))
        self._office = office
        self._admin = admin
        self._claim = claim
        self._rights = rights

    def open(self, tunnel: TunnelId, offer: bytes, *, claim: Secret[bytes], ttl: int) -> None:
        if not 1 <= ttl <= LONGEST_LIFE:
            raise UsageError("api.ttl", "a tunnel lives 1 second to 24 hours")
        _check_size(offer)
        with self._office.changed:
            there = self._office.box(tunnel)
            if there is None:
                now = self._office.clock.now()
                self._office.boxes[tunnel] = _Box(self.device_token, claim, ttl, now, [Blob(1, "offer", offer)])
            elif not (
                there.blobs[0].data == offer
                and there.device_token == self.device_token
                and there.claim == claim
                and there.ttl == ttl
            ):
                raise WrongState("tunnel.exists", "the API holds another offer under this id")

    def post(self, tunnel: TunnelId, slot: Slot, data: bytes) -> None:
        _check_size(data)
        with self._office.changed:
            box = self._admitted(tunnel)
            if slot not in (DEVICE_SLOTS if self._admin is None else ADMIN_SLOTS):
                raise _unknown()
            held = [blob for blob in box.blobs if blob.slot == slot]
            if any(blob.data == data for blob in held):
                return
            control = slot.startswith("control-")
            if held and not control:
                raise self._taken(box, slot)
            if box.closed and not control:
                raise _closed()
            box.last += 1
            box.blobs.append(Blob(box.last, slot, data))
            if len(held) == CONTROL_KEPT:
                box.blobs.remove(held[0])
            if slot == "answer":
                box.answered = (self._admin or "", self._office.clock.now())
            self._office.changed.notify_all()

    def messages(self, tunnel: TunnelId, *, after: int, wait: float) -> Sequence[Blob]:
        with self._office.changed:
            self._office.changed.wait_for(lambda: self._waiting_is_over(tunnel, after), timeout=wait)
            box = self._admitted(tunnel)
            new = _above(box, after)
            if box.closed and not new:
                raise _closed()
            return new

    def close(self, tunnel: TunnelId) -> None:
        with self._office.changed:
            self._admitted(tunnel).closed = True
            self._office.changed.notify_all()

    def tunnels(self) -> Sequence[TunnelRow]:
        if self._admin is None or "list" not in self._rights:
            raise UsageError("api.token", "listing tunnels needs an admin token with the `list` right")
        with self._office.changed:
            return [
                TunnelRow(
                    tunnel,
                    "open",
                    tuple(sorted({blob.slot for blob in box.blobs})),
                    box.created,
                    box.expires,
                    box.answered[0] if box.answered else None,
                )
                for tunnel, box in self._office.boxes.items()
                if not box.closed and self._office.box(tunnel) is not None
            ]

    def _waiting_is_over(self, tunnel: TunnelId, after: int) -> bool:
        box = self._admitted(tunnel)
        return box.closed or bool(_above(box, after))

    def _admitted(self, tunnel: TunnelId) -> _Box:
        box = self._office.box(tunnel)
        if box is None:
            raise _unknown()
        if self._admin is None:
            allowed = box.device_token == self.device_token
        else:
            allowed = self._claim is not None and box.claim == self._claim and "answer" in self._rights
        if not allowed:
            raise _unknown()
        return box

    def _taken(self, box: _Box, slot: str) -> WrongState:
        if slot == "answer" and box.answered is not None:
            name, since = box.answered
            when = since.strftime("%Y-%m-%d %H:%M UTC")
            return WrongState("answer.late", f"the owner is already being helped by {name} since {when}")
        return WrongState("api.slot", "this message was already posted with other contents")


def _above(box: _Box, after: int) -> list[Blob]:
    return [blob for blob in box.blobs if blob.number > after]


def _unknown() -> WrongState:
    return WrongState("tunnel.unknown", "the API knows no such tunnel; it may have ended")


def _closed() -> WrongState:
    return WrongState("tunnel.closed", "the tunnel is closed")


def _check_size(blob: bytes) -> None:
    if not 0 < len(blob) <= MAX_BLOB:
        raise UsageError("api.size", f"a message holds 1 to {MAX_BLOB} bytes")
