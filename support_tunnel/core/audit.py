"""The audit log both sides can check offline (2.14): a hash chain, and a MAC whose key moves on after each line.

Whoever takes over the device can write any further line but cannot remake an earlier MAC: that key is gone. What the chain
cannot show is a log that simply ends; a head the other side saw (M4, M5) or a count from a receipt shows that.
Pure: lines are returned as bytes, and the caller writes them before it acts.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from support_tunnel.core.errors import MessageError, SupportTunnelError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import canonical, fields
from support_tunnel.core.st1.entropy import SYSTEM, Entropy
from support_tunnel.core.st1.payloads import to_seconds
from support_tunnel.core.st1.schedule import expand, labelled_hash, lp

__all__ = ["AuditLog", "Entry", "LogBroken", "Value", "Verified", "entries", "start_of", "verify"]

Value = str | int | bool
_WORD: Final = re.compile(r"[a-z][a-z0-9 ._-]{0,63}")
_LINE: Final = frozenset({"actor", "data", "event", "head", "mac", "n", "time"})
_STATE: Final = frozenset({"count", "head", "key", "tunnel"})
_MOST_LINES: Final = 10**9


class LogBroken(SupportTunnelError):
    """`log.*`; `line` counts from 1."""

    def __init__(self, code: str, line: int, message: str) -> None:
        super().__init__(
            code, f"line {line}: {message}", next_step="Keep the file as it is and compare it with the other side's."
        )
        self.line = line


def start_of(tunnel: TunnelId) -> bytes:
    """head_0: a log begins with the tunnel it belongs to."""
    return labelled_hash(b"audit start", bytes.fromhex(tunnel))


def _next_head(head: bytes, line: bytes) -> bytes:
    return labelled_hash(b"audit line", head, line)


def _mac(key: bytes, head: bytes) -> bytes:
    return hmac.digest(key, lp(b"ST1 audit mac", head), "sha256")


def _next_key(key: bytes) -> bytes:
    return expand(key, b"audit key")


class AuditLog:
    """The writing end. Give k_0 to the owner before the first line; the log forgets it with that line."""

    __slots__ = ("_count", "_head", "_key", "tunnel")

    def __init__(self, tunnel: TunnelId, key: Secret[bytes], *, head: bytes | None = None, count: int = 0) -> None:
        self.tunnel = tunnel
        self._key = key
        self._head = start_of(tunnel) if head is None else head
        self._count = count

    @classmethod
    def start(cls, tunnel: TunnelId, entropy: Entropy = SYSTEM) -> tuple[AuditLog, Secret[bytes]]:
        """Return a new log and k_0, with which the owner can check it later."""
        key = Secret(entropy.token(32))
        return cls(tunnel, key), key

    @property
    def head(self) -> str:
        """64 hex digits, for M4, M5 and the receipt."""
        return self._head.hex()

    @property
    def count(self) -> int:
        return self._count

    def append(self, *, now: datetime, actor: str, event: str, data: Mapping[str, Value] | None = None) -> bytes:
        """Return the next line, newline included, and move the key on. Raises UsageError `log.value`."""
        content: dict[str, object] = {
            "actor": actor,
            "data": dict(data or {}),
            "event": event,
            "n": self._count + 1,
            "time": to_seconds(now),
        }
        try:
            _check(content)
            covered = canonical.dumps(content)
        except (ValueError, MessageError):  # ValueError: a lone surrogate, from bytes that were not UTF-8
            raise UsageError("log.value", f"the event {event!r} cannot be written to the audit log") from None
        self._head = _next_head(self._head, covered)
        key = self._key.reveal()
        line = canonical.dumps({**content, "head": self.head, "mac": _mac(key, self._head).hex()}) + b"\n"
        self._key = Secret(_next_key(key))
        self._count += 1
        return line

    def dump(self) -> Secret[bytes]:
        """What another process needs to write on; tmpfs, 0600."""
        state = {
            "count": self._count,
            "head": self.head,
            "key": fields.encoded(self._key.reveal()),
            "tunnel": self.tunnel,
        }
        return Secret(canonical.dumps(state))

    @classmethod
    def load(cls, dumped: Secret[bytes]) -> AuditLog:
        """Raises UsageError `log.dump`."""
        try:
            found = fields.record(canonical.loads(dumped.reveal()), "log", _STATE)
            return cls(
                TunnelId(fields.pattern(found["tunnel"], "tunnel", fields.TUNNEL, "a tunnel id")),
                Secret(fields.fixed_bytes(found["key"], "key", low=32, high=32)),
                head=bytes.fromhex(fields.pattern(found["head"], "head", fields.HEAD, "64 hex digits")),
                count=fields.integer(found["count"], "count", low=0, high=_MOST_LINES),
            )
        except (ValueError, MessageError):
            raise UsageError("log.dump", "the saved state of the audit log is damaged") from None


def _check(content: Mapping[str, object]) -> None:
    fields.pattern(content["actor"], "actor", _WORD, "a lower-case word")
    fields.pattern(content["event"], "event", _WORD, "a lower-case word")
    fields.integer(content["n"], "n", low=1, high=_MOST_LINES)
    fields.integer(content["time"], "time", low=0, high=fields.LATEST)
    data = content["data"]
    # Flat, and numbers a JSON parser of any language keeps exactly: the line has one spelling.
    if not isinstance(data, dict) or not all(
        isinstance(key, str) and (isinstance(value, str | bool) or (type(value) is int and abs(value) < 2**53))
        for key, value in data.items()
    ):
        raise fields.wrong("data", "an object of texts, whole numbers and booleans")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line as it stands there; whether it may be believed is what `verify` says."""

    when: datetime
    event: str
    data: Mapping[str, Value]


def entries(log: bytes) -> tuple[Entry, ...]:
    """Read the lines, up to the first that is none."""
    found = []
    for number, line in enumerate(log.split(b"\n")[:-1], start=1):
        try:
            content, _, _ = _read(line, number)
        except LogBroken:
            break
        when = datetime.fromtimestamp(fields.integer(content["time"], "time", low=0, high=fields.LATEST), UTC)
        found.append(Entry(when, str(content["event"]), cast("Mapping[str, Value]", content["data"])))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that holds. `macs_checked` says whether k_0 was there: without it a whole log written anew looks right."""

    count: int
    head: str
    macs_checked: bool


def verify(
    log: bytes,
    tunnel: TunnelId,
    *,
    key: Secret[bytes] | None = None,
    witnessed: Sequence[str] = (),
    expected_count: int | None = None,
) -> Verified:
    """Check every line. `witnessed`: heads the other side saw, in order; `expected_count`: from a receipt.

    Raises LogBroken: `log.line` (unreadable), `log.number` (dropped, doubled or moved), `log.chain` (edited, or of another
    tunnel), `log.mac` (written anew), `log.truncated`, `log.fork` (a head that was seen is not here: cut back or written anew).
    """
    head, moving = start_of(tunnel), key.reveal() if key else None
    heads = [head.hex()]
    lines = log.split(b"\n")
    if lines.pop():
        raise LogBroken("log.line", len(lines) + 1, "it was cut in the middle")
    for number, line in enumerate(lines, start=1):
        content, stated_head, stated_mac = _read(line, number)
        if content["n"] != number:
            raise LogBroken(
                "log.number", number, f"it says it is number {content['n']}; lines were dropped, doubled or moved"
            )
        head = _next_head(head, canonical.dumps(content))
        if head.hex() != stated_head:
            raise LogBroken("log.chain", number, "it was edited, or belongs to another log")
        if moving is not None:
            if not hmac.compare_digest(_mac(moving, head).hex(), stated_mac):
                raise LogBroken("log.mac", number, "it was written anew by somebody without the key of that moment")
            moving = _next_key(moving)
        heads.append(stated_head)
    if expected_count is not None and len(lines) < expected_count:
        raise LogBroken("log.truncated", len(lines) + 1, f"the log ends before it; {expected_count} lines were written")
    _compare(heads, witnessed)
    return Verified(len(lines), heads[-1], moving is not None)


def _read(line: bytes, number: int) -> tuple[dict[str, object], str, str]:
    try:
        content = dict(fields.record(canonical.loads(line), "line", _LINE))
        head = fields.pattern(content.pop("head"), "head", fields.HEAD, "64 hex digits")
        mac = fields.pattern(content.pop("mac"), "mac", fields.HEAD, "64 hex digits")
        _check(content)
    except (ValueError, MessageError):
        raise LogBroken("log.line", number, "it is not a line of an audit log") from None
    return content, head, mac


def _compare(heads: Sequence[str], witnessed: Iterable[str]) -> None:
    after = 0
    for seen in witnessed:
        try:
            after = heads.index(seen, after)
        except ValueError:
            raise LogBroken(
                "log.fork",
                after + 1,
                "from here on the other side saw something else; the log was cut back or written anew",
            ) from None
