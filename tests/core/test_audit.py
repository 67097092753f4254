"""The audit log: 05-threats test 67, property P11."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.audit import AuditLog, LogBroken, verify
from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret

TUNNEL, OTHER = TunnelId("0a" * 16), TunnelId("0b" * 16)
EVENTS = ["requested", "answered", "consented", "ready", "command", "stopped"]


@pytest.fixture
def written(parties: Any) -> tuple[list[bytes], list[str], Secret[bytes]]:
    log, key = AuditLog.start(TUNNEL)
    heads, lines = [log.head], []
    for i, event in enumerate(EVENTS):
        lines.append(
            log.append(now=parties.now, actor="device", event=event, data={"i": i, "text": 'if [[ "a" ]] {{{'})
        )
        heads.append(log.head)
    return lines, heads, key


def broken(lines: list[bytes], key: Secret[bytes] | None, **known: Any) -> tuple[str, int]:
    with pytest.raises(LogBroken) as caught:
        verify(b"".join(lines), TUNNEL, key=key, **known)
    return caught.value.code, caught.value.line


def rebuilt(parties: Any, events: list[str], tunnel: TunnelId = TUNNEL) -> list[bytes]:
    """What root could write later: a chain right in itself, without the keys of the time."""
    log, _ = AuditLog.start(tunnel)
    return [log.append(now=parties.now, actor="device", event=event) for event in events]


def test_every_prefix_holds(written: Any) -> None:
    lines, heads, key = written
    for count in range(len(lines) + 1):
        found = verify(b"".join(lines[:count]), TUNNEL, key=key, witnessed=heads[: count + 1])
        assert (found.count, found.head, found.macs_checked) == (count, heads[count], True)
    assert not verify(b"".join(lines), TUNNEL).macs_checked


def test_67_edited(written: Any) -> None:
    lines, _, key = written
    lines[2] = lines[2].replace(b"consented", b"declined")
    assert broken(lines, key) == ("log.chain", 3)
    assert broken(lines, None) == ("log.chain", 3)


def test_67_dropped_swapped_doubled(written: Any) -> None:
    lines, _, key = written
    assert broken(lines[:2] + lines[3:], key) == ("log.number", 3)
    assert broken([lines[1], lines[0], *lines[2:]], key) == ("log.number", 1)
    assert broken([*lines, lines[-1]], key) == ("log.number", 7)


def test_67_truncated(written: Any) -> None:
    lines, heads, key = written
    assert broken(lines[:4], key, expected_count=6) == ("log.truncated", 5)
    assert broken(lines[:4], key, witnessed=[heads[3], heads[6]]) == ("log.fork", 4)
    assert broken([*lines[:3], lines[3][:-9]], key) == ("log.line", 4)


def test_67_written_anew(written: Any, parties: Any) -> None:
    _, heads, key = written
    assert broken(rebuilt(parties, EVENTS), key) == ("log.mac", 1)
    # Without k_0 it looks right in itself, and a head that the other side saw gives it away.
    assert broken(rebuilt(parties, EVENTS), None, witnessed=[heads[0], heads[3]]) == ("log.fork", 1)


def test_67_forked_after_a_point_with_the_key_of_that_moment(parties: Any) -> None:
    """A thief of the running device has the current key: earlier lines stay safe, later ones show in the heads that were seen."""
    log, key = AuditLog.start(TUNNEL)
    lines = [log.append(now=parties.now, actor="device", event="ready")]
    stolen = AuditLog.load(log.dump())
    real = log.append(now=parties.now, actor="device", event="command")
    seen = [log.head]
    fork = stolen.append(now=parties.now, actor="device", event="nothing")
    assert verify(b"".join([*lines, real]), TUNNEL, key=key, witnessed=seen).count == 2
    assert broken([*lines, fork], key, witnessed=seen) == ("log.fork", 1)
    edited = [lines[0].replace(b"ready", b"later"), fork]
    assert broken(edited, key)[1] == 1


def test_67_log_of_another_tunnel(parties: Any) -> None:
    assert broken(rebuilt(parties, EVENTS, OTHER), None) == ("log.chain", 1)


@given(st.data())
def test_p11_any_single_mutation_fails(make_parties: Any, data: st.DataObject) -> None:
    log, key = AuditLog.start(TUNNEL)
    now = make_parties().now
    whole = b"".join(log.append(now=now, actor="owner", event=event, data={"x": event}) for event in EVENTS)
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    with pytest.raises(LogBroken) as caught:
        verify(changed, TUNNEL, key=key, expected_count=len(EVENTS))
    # A newline made of another byte is noticed where the cut line is read, at the latest one line on.
    assert whole[:at].count(b"\n") <= caught.value.line <= whole[:at].count(b"\n") + 2


def test_log_goes_on_in_another_process(written: Any, parties: Any) -> None:
    log, key = AuditLog.start(TUNNEL)
    first = log.append(now=parties.now, actor="device", event="ready")
    second = AuditLog.load(log.dump()).append(now=parties.now, actor="keeper", event="stopped")
    assert verify(first + second, TUNNEL, key=key).count == 2


def test_key_of_the_start_is_forgotten(parties: Any) -> None:
    log, key = AuditLog.start(TUNNEL)
    log.append(now=parties.now, actor="device", event="ready")
    assert json.loads(log.dump().reveal())["key"] != AuditLog(TUNNEL, key).dump()
    assert Secret(log._key.reveal()) != key


@pytest.mark.parametrize(
    "bad",
    [
        {"actor": "De vice\n"}, {"event": ""}, {"data": {"a": 1.5}}, {"data": {"a": {}}}, {"data": {"a": 2**60}}, {"data": {"a": "\ud800"}},
    ],
)  # fmt: skip
def test_lines_that_cannot_be_written(parties: Any, bad: dict[str, Any]) -> None:
    log, _ = AuditLog.start(TUNNEL)
    before = log.head
    with pytest.raises(UsageError) as caught:
        log.append(**{"now": parties.now, "actor": "device", "event": "ready", **bad})
    assert caught.value.code == "log.value"
    assert (log.head, log.count) == (before, 0)


def test_damaged_dump() -> None:
    with pytest.raises(UsageError):
        AuditLog.load(Secret(b"{}"))
