"""Reads what the API answers, as something an attacker may have written: bounded, typed, with one error each.

Pure: bytes in, ports' types or an error out. Text of the API is never shown to people, except a name and a time of strict form.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast, get_args

from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob, Slot, TunnelRow

__all__ = ["MAX_ANSWER", "MAX_BLOB", "TRANSIENT", "Answer", "closed", "read_messages", "read_tunnels", "refusal"]

MAX_BLOB = 16 * 1024
MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of one answer; a full mailbox is under 0.8 MiB, the rest is room for long lists."""
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504, 507})
"""Statuses after which the same request may succeed."""
SLOTS = frozenset({"offer", *get_args(Slot)})
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    date: str = ""
    """The clock of whoever answered, as its header says; nothing is decided by it."""

    def json(self) -> dict[str, Any]:
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError):
            raise _garbage() from None
        if not isinstance(parsed, dict):
            raise _garbage()
        return parsed


def read_messages(answer: Answer, after: int) -> tuple[bool, list[Blob]]:
    """Return whether the tunnel is closed, and its messages above `after`."""
    body = answer.json()
    state, rows = body.get("state"), body.get("messages")
    if state not in ("open", "closed") or not isinstance(rows, list):
        raise _garbage()
    blobs: list[Blob] = []
    for row in rows:
        blob = _blob(row)
        if blob.number <= after:
            raise _garbage()
        after = blob.number
        blobs.append(blob)
    return state == "closed", blobs


def read_tunnels(answer: Answer) -> Sequence[TunnelRow]:
    rows = answer.json().get("tunnels")
    if not isinstance(rows, list):
        raise _garbage()
    return [_tunnel(row) for row in rows]


def refusal(answer: Answer, *, admin: bool) -> SupportTunnelError:
    """Turn a status that is not 2xx into the error of the port."""
    if answer.status in TRANSIENT:
        return _later(answer.status)
    body = answer.json()
    match answer.status, body.get("code"):
        case 401, "api.token" if admin:
            return UsageError(
                "api.token", "the API does not accept this admin token", next_step="Ask the API's operator for a token."
            )
        case 403, "api.token":
            return UsageError(
                "api.token", "this admin token may not list tunnels", next_step="Ask for the `list` right."
            )
        case (401, "api.token") | (404, "tunnel.unknown"):
            # To the device, whose token was made for its tunnel, an unknown token means an unknown tunnel.
            return WrongState(
                "tunnel.unknown", "the API knows no such tunnel; it may have ended", next_step="Ask for a new code."
            )
        case 409, "tunnel.exists":
            return WrongState(
                "tunnel.exists", "the API holds another offer under this id", next_step="Make a new request."
            )
        case 409, "tunnel.closed":
            return closed()
        case 409, "answer.late":
            return _late(body)
        case 409, "api.slot":
            return WrongState("api.slot", "this message was already posted with other contents")
        case 413, "api.size":
            return UsageError("api.size", f"a message holds at most {MAX_BLOB} bytes")
        case 422, "api.request":
            return HostError(
                "api.answer", "the API does not understand this client", next_step="Compare the versions of both."
            )
    raise _garbage()


def closed() -> WrongState:
    return WrongState("tunnel.closed", "the tunnel is closed", next_step="Ask for a new code.")


def _later(status: int) -> HostError:
    if status == 429:
        return HostError(
            "api.busy", "the API asks for fewer requests from this address", next_step="Try again in a minute."
        )
    return HostError(
        "api.unavailable", f"the API cannot serve right now (status {status})", next_step="Try again in a minute."
    )


def _late(body: Mapping[str, Any]) -> WrongState:
    name, since = body.get("by"), body.get("since")
    who = name if isinstance(name, str) and NAME.fullmatch(name) else "somebody else"
    try:
        when = f" since {_time(since).strftime('%Y-%m-%d %H:%M UTC')}"
    except HostError:
        when = ""
    return WrongState("answer.late", f"the owner is already being helped by {who}{when}", next_step="Talk to them.")


def _blob(row: object) -> Blob:
    match row:
        case {"number": int(number), "slot": str(slot), "blob": str(text)} if slot in SLOTS and number is not True:
            try:
                data = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise _garbage() from None
            if len(data) > MAX_BLOB:
                raise _garbage()
            return Blob(number, cast(Slot, slot), data)
    raise _garbage()


def _tunnel(row: object) -> TunnelRow:
    match row:
        case {
            "tunnel": str(tid),
            "state": ("open" | "closed") as state,
            "slots": list(slots),
            "created": created,
            "expires": expires,
            "answered_by": None | str() as name,
        } if re.fullmatch(r"[0-9a-f]{32}", tid) and all(isinstance(slot, str) and slot in SLOTS for slot in slots):
            if name is not None and not NAME.fullmatch(name):
                raise _garbage()
            return TunnelRow(TunnelId(tid), state, tuple(slots), _time(created), _time(expires), name)
    raise _garbage()


def _time(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise _garbage()
    return moment


def _garbage() -> HostError:
    return HostError(
        "api.answer", "what answered is not the mailbox API", next_step="Check the API's address in your settings."
    )
