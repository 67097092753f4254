"""What a month costs, and when the cap says no."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.spending import Rental, parse_dollars, require_budget, spent_in_month

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rental(
    began: datetime = NOW, hours: float = 1, hourly: float | None = 0.5, ended: datetime | None = None
) -> Rental:
    return Rental(TunnelId("ab" * 16), "a", began, began + hours * HOUR, hourly, ended)


def test_what_runs_is_reckoned_to_its_end_and_what_ended_to_that() -> None:
    rentals = [rental(hours=4), rental(hours=4, ended=NOW + HOUR), rental(NOW - 50 * HOUR, hours=2)]
    assert spent_in_month(rentals, NOW, {}).dollars == pytest.approx(0.5 * (4 + 1 + 2))


def test_only_the_part_in_this_month_counts() -> None:
    last = datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert spent_in_month([rental(last, hours=3)], NOW, {}).dollars == pytest.approx(0.5 * 2)
    assert spent_in_month([rental(last, hours=3)], last, {}).dollars == pytest.approx(0.5 * 1)
    december = datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert spent_in_month([rental(december, hours=3)], december, {}).dollars == pytest.approx(0.5)
    here = timezone(timedelta(hours=14))
    assert spent_in_month([rental()], NOW.astimezone(here), {}).dollars == pytest.approx(0.5)


def test_one_whose_price_nobody_knew_costs_what_it_costs_today_or_is_counted_apart() -> None:
    unknown = rental(hourly=None)
    assert spent_in_month([unknown], NOW, {"a": 0.25}).dollars == pytest.approx(0.25)
    assert (spent_in_month([unknown], NOW, {}).dollars, spent_in_month([unknown], NOW, {"a": None}).unpriced) == (0, 1)
    assert spent_in_month([rental(NOW - timedelta(days=90), hourly=None)], NOW, {}).unpriced == 0


@given(
    hours=st.lists(st.floats(0, 24), max_size=6),
    cap=st.floats(0, 50),
    new=st.floats(0.1, 24),
)
def test_the_cap_is_never_passed_and_never_says_no_below_it(hours: list[float], cap: float, new: float) -> None:
    before, next_one = [rental(hours=each) for each in hours], rental(hours=new)
    total = spent_in_month([*before, next_one], NOW, {}).dollars
    if total <= cap:
        require_budget(cap, next_one, before, {})
        return
    with pytest.raises(WrongState) as refused:
        require_budget(cap, next_one, before, {})
    assert refused.value.code == "cost.cap"


def test_a_cap_of_nothing_lets_only_what_is_free() -> None:
    require_budget(0, rental(hourly=0.0), [], {})
    with pytest.raises(WrongState):
        require_budget(0, rental(hourly=0.001), [], {})


def test_with_a_cap_a_price_has_to_be_known() -> None:
    with pytest.raises(UsageError) as refused:
        require_budget(1e6, rental(hourly=None), [], {"a": 0.5})
    assert refused.value.code == "cost.unknown"
    assert "clouds/a/hourly" in refused.value.next_step


@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "1e9", "5 dollars", "1,5"])
def test_what_is_no_sum_of_money(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_dollars(text, "spend_cap")
    assert refused.value.code == "config.type"


@pytest.mark.parametrize(("text", "dollars"), [("0", 0), ("25", 25), ("0.05", 0.05)])
def test_what_is_one(text: str, dollars: float) -> None:
    assert parse_dollars(text, "spend_cap") == dollars
