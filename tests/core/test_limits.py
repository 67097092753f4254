"""How long a tunnel may last and how many there may be."""

from __future__ import annotations

import pytest

from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.core.errors import UsageError, WrongState
from support_tunnel.core.limits import Limits

DAY = 24 * 3600


@pytest.mark.parametrize(
    ("asked", "offered", "seconds"),
    [
        (None, DAY, 1800),
        (None, 600, 600),
        (600, DAY, 600),
        (4 * 3600, DAY, 4 * 3600),
        (4 * 3600, 3600, 3600),
    ],
)
def test_thirty_minutes_when_nothing_is_asked_and_never_more_than_is_offered(
    asked: int | None, offered: int, seconds: int
) -> None:
    assert Limits().seconds(asked, offered) == seconds


def test_more_than_four_hours_are_refused_and_not_cut() -> None:
    with pytest.raises(UsageError) as refused:
        Limits().seconds(4 * 3600 + 60, DAY)
    assert refused.value.code == "tunnel.minutes"
    assert "240" in refused.value.message


def test_the_sixth_is_refused() -> None:
    Limits().require_room(4, "there")
    with pytest.raises(WrongState) as refused:
        Limits().require_room(5, "there")
    assert refused.value.code == "tunnels.full"


@pytest.mark.parametrize("given", [(59, 60, 5), (120, 60, 5), (1800, DAY + 1, 5), (1800, 3600, 0)])
def test_limits_that_cannot_be_are_refused(given: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError):
        Limits(*given)


def test_the_settings_say_the_same() -> None:
    assert AdminSettings().limits == Limits()
    assert AdminSettings(tunnel_minutes=10, tunnel_minutes_most=20, tunnels_at_once=1).limits == Limits(600, 1200, 1)
