"""Whatever the clocks do (05, P8): a session ends within ten seconds of the first of its deadlines, and not before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from support_tunnel.flows.device.keep import Deadlines, wait_until_over

START = datetime(2030, 1, 1, tzinfo=UTC)
TTL = 600.0
LATE = 10.0


@dataclass(frozen=True, slots=True)
class Event:
    """After `awake` seconds of this machine's own: it sleeps, or somebody sets its clock."""

    awake: float
    asleep: float = 0.0
    jump: float = 0.0


@dataclass(slots=True)
class Weather:
    """`ports.Clock` whose three clocks run at their own rates, 0 for one that stands still, and meet `events` on the way.

    Time awake is what a pause takes; it is the measure of how late an end is.
    """

    rates: tuple[float, float, float]
    events: Sequence[Event]
    awake: float = 0.0
    happened: list[Event] = field(default_factory=list)

    def now(self) -> datetime:
        asleep, jumps = sum(one.asleep for one in self.happened), sum(one.jump for one in self.happened)
        return START + timedelta(seconds=self.awake * self.rates[0] + asleep + jumps)

    def monotonic(self) -> float:
        return self.awake * self.rates[1]

    def boottime(self) -> float:
        return self.awake * self.rates[2] + sum(one.asleep for one in self.happened)

    def pause(self, seconds: float) -> None:
        self.awake += seconds
        self.happened += [one for one in self.events if one.awake <= self.awake and one not in self.happened]


def deadlines() -> Deadlines:
    return Deadlines(until=START + timedelta(seconds=TTL), monotonic=TTL, boottime=TTL)


def first_over(weather: Weather) -> float:
    """When the first of the three is reached, in seconds awake, looked at from outside and finely."""
    end = deadlines()
    while not (
        weather.now() >= end.until or weather.monotonic() >= end.monotonic or weather.boottime() >= end.boottime
    ):
        weather.pause(0.25)
    return weather.awake


RATES = st.sampled_from([0.0, 0.5, 0.99, 1.0, 1.01, 2.0])
EVENTS = st.lists(
    st.builds(
        Event,
        awake=st.floats(0.5, TTL, allow_nan=False),
        asleep=st.sampled_from([0.0, 1.0, 60.0, TTL, 86400.0]),
        jump=st.sampled_from([0.0, 3600.0, -3600.0, 3.0e8, -3.0e8, 1.0]),
    ),
    max_size=5,
    unique_by=lambda event: event.awake,
)


@given(now=RATES, monotonic=RATES, boottime=RATES, events=EVENTS)
@example(now=0.0, monotonic=1.0, boottime=0.0, events=[])
@example(now=1.0, monotonic=0.0, boottime=0.0, events=[Event(10, jump=-3600)])
@example(now=0.0, monotonic=0.0, boottime=1.0, events=[Event(10, asleep=TTL)])
def test_it_ends_within_ten_seconds_of_its_first_deadline(
    now: float, monotonic: float, boottime: float, events: list[Event]
) -> None:
    rates = (now, monotonic, boottime)
    # One of the three at least goes on as it should: no program can tell the time where none does.
    rates = rates if any(rate >= 0.5 for rate in rates[1:]) else (now, 1.0, boottime)
    due = first_over(Weather(rates, events))
    seen = Weather(rates, events)
    wait_until_over(deadlines(), seen)
    assert due - 0.25 <= seen.awake <= due + LATE
