"""Every tunnel of this device, live or ended: what the vault knows of the live ones, and what the logs say of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from support_tunnel.core.audit import Entry, Value
from support_tunnel.core.ports import LoggedSession
from support_tunnel.core.states import Number
from support_tunnel.flows.device.admit import NOBODY_CAME
from support_tunnel.flows.device.keep import TIME_OVER
from support_tunnel.flows.device.ports import DevicePorts
from support_tunnel.flows.device.status import TunnelStatus, status

__all__ = ["TunnelHistory", "history"]

_TIMED_OUT = frozenset({TIME_OVER, NOBODY_CAME})
_STAGES = {
    "requested": Number.PENDING,
    "answered": Number.STARTED,
    "asking": Number.STARTED,
    "opening": Number.RUNNING,
    "active": Number.CONNECTED,
}
_EVENTS = {"requested": Number.PENDING, "consented": Number.STARTED, "opened": Number.CONNECTED}


@dataclass(frozen=True, slots=True)
class TunnelHistory:
    """One tunnel. Holds no secret: what the vault has besides never comes here."""

    tunnel: str
    """The whole id, or its 8 digits when nothing on this device knows the rest any more."""
    number: Number
    live: bool
    orphaned: bool
    """Traces of it are there and nobody watches them; `inv gc` ends it."""
    events: tuple[Entry, ...]
    until: datetime | None
    log_broken: str
    """Code of what does not hold in its log (`log.chain`); `log.missing` without one; empty when all holds."""

    @property
    def state(self) -> str:
        return "orphaned" if self.orphaned else self.number.name.lower()

    def said(self, event: str) -> Mapping[str, Value]:
        """What the log says of the first `event`; empty when there was none."""
        return next((entry.data for entry in self.events if entry.event == event), {})

    def when(self, event: str) -> datetime | None:
        return next((entry.when for entry in self.events if entry.event == event), None)


def history(ports: DevicePorts) -> list[TunnelHistory]:
    """Oldest first."""
    live = {row.tunnel[:8]: row for row in status(ports)}
    logged = {session.short: session for session in ports.journal.sessions()}
    told = [_told(short, live.get(short), logged.get(short)) for short in {*live, *logged}]
    return sorted(told, key=lambda one: (one.when("requested") or datetime.min.replace(tzinfo=UTC), one.tunnel))


def _told(short: str, live: TunnelStatus | None, logged: LoggedSession | None) -> TunnelHistory:
    events = logged.entries if logged else ()
    known = (logged.tunnel if logged else None) or (live.tunnel if live and live.until else None)
    return TunnelHistory(
        tunnel=known or short,
        number=_number(live, events),
        live=live is not None,
        orphaned=live is not None and live.state == "orphaned",
        events=events,
        until=live.until if live else None,
        log_broken=logged.broken if logged else "log.missing",
    )


def _number(live: TunnelStatus | None, events: tuple[Entry, ...]) -> Number:
    got_to = max((_EVENTS.get(entry.event, Number.PENDING) for entry in events), default=Number.PENDING)
    if live is not None:
        return max(got_to, _STAGES.get(live.state, Number.PENDING))
    # A log without an end is of a session that ended with the power: the device has nothing of it any more.
    timed_out = any(entry.event == "ended" and entry.data.get("reason") in _TIMED_OUT for entry in events)
    return Number.TIMEDOUT if timed_out else Number.COMPLETED
