"""The moves a tunnel may make (2.4). Anything else is WrongState `state`; stopped is final."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final, Generic, TypeVar

from support_tunnel.core.errors import WrongState

__all__ = ["ADMIN_MOVES", "DEVICE_MOVES", "AdminState", "DeviceState", "Lifecycle", "Number"]


class DeviceState(StrEnum):
    OFFERED = "offered"
    ANSWERED = "answered"
    ACTIVE = "active"
    STOPPED = "stopped"


class AdminState(StrEnum):
    OFFER_READ = "offer read"
    SERVER_UP = "server up"
    ANSWERED = "answered"
    CONFIRMED = "confirmed"
    READY = "ready"
    CONNECTED = "connected"
    STOPPED = "stopped"


class Number(IntEnum):
    """How far a tunnel got, in the numbers that programs know from the first support-tunnel; they only rise."""

    PENDING = 10
    STARTED = 20
    RUNNING = 30
    CONNECTED = 40
    COMPLETED = 50
    TIMEDOUT = 60


S = TypeVar("S", bound=StrEnum)

DEVICE_MOVES: Final[Mapping[DeviceState, frozenset[DeviceState]]] = {
    DeviceState.OFFERED: frozenset({DeviceState.ANSWERED, DeviceState.STOPPED}),
    DeviceState.ANSWERED: frozenset({DeviceState.ACTIVE, DeviceState.STOPPED}),
    DeviceState.ACTIVE: frozenset({DeviceState.STOPPED}),
    DeviceState.STOPPED: frozenset(),
}

ADMIN_MOVES: Final[Mapping[AdminState, frozenset[AdminState]]] = {
    AdminState.OFFER_READ: frozenset({AdminState.SERVER_UP, AdminState.STOPPED}),
    AdminState.SERVER_UP: frozenset({AdminState.ANSWERED, AdminState.STOPPED}),
    AdminState.ANSWERED: frozenset({AdminState.CONFIRMED, AdminState.STOPPED}),
    AdminState.CONFIRMED: frozenset({AdminState.READY, AdminState.STOPPED}),
    AdminState.READY: frozenset({AdminState.CONNECTED, AdminState.STOPPED}),
    AdminState.CONNECTED: frozenset({AdminState.STOPPED}),
    AdminState.STOPPED: frozenset(),
}


class Lifecycle(Generic[S]):
    """Where one side of one tunnel stands."""

    __slots__ = ("_moves", "_state")

    def __init__(self, start: S, moves: Mapping[S, frozenset[S]]) -> None:
        self._state = start
        self._moves = moves

    @property
    def state(self) -> S:
        return self._state

    def move(self, to: S) -> None:
        if to not in self._moves[self._state]:
            raise WrongState("state", f"a tunnel that is {self._state} cannot become {to}")
        self._state = to

    def require(self, *allowed: S) -> None:
        if self._state not in allowed:
            raise WrongState("state", f"this cannot be done while the tunnel is {self._state}")

    def stop(self) -> None:
        """Stopped, from anywhere; stopping twice is fine."""
        if self._moves[self._state]:
            self.move(_stopped(self._moves))


def _stopped(moves: Mapping[S, frozenset[S]]) -> S:
    return next(state for state, onward in moves.items() if not onward)
