"""No secret of a session lies about: not in a process list, a log, a history, a database or a file, on any of the hosts (65, 66).

The two sessions of `played` ran under two umasks, with the code on the admin's stdin; they were looked at while they ran and after.
"""

from __future__ import annotations

import pytest

from tests.onebox.played import Played, Session
from tests.onebox.searching import CANARY_AT, HOMES, search

pytestmark = pytest.mark.onebox

MOMENTS = {"while connected", "afterwards", "in processes and logs"}


@pytest.fixture(params=["first", "second"])
def session(played: Played, request: pytest.FixtureRequest) -> Session:
    found: Session = getattr(played, request.param)
    return found


@pytest.mark.parametrize("moment", sorted(MOMENTS))
def test_65_no_secret_lies_about(session: Session, moment: str) -> None:
    assert set(session.lying_about) == MOMENTS
    assert session.lying_about[moment] == []


def test_65_a_text_that_somebody_was_careless_with_is_found_at_each_kind_of_place(session: Session) -> None:
    assert set(CANARY_AT) - set(session.careless_at) == set()


def test_65_what_may_lie_somewhere_may_lie_only_there() -> None:
    secret = {"preshared key": b"p" * 32, "code": b"st1" + b"c" * 59}
    lying = {place.replace("*", "x"): b"p" * 32 + b"st1" + b"c" * 59 for place in (*HOMES, "device:etc/x")}
    named = search(lying, secret)
    assert "server:etc/wireguard/x: preshared key, as it is" not in named
    assert {f"{place}: code, as it is" for place in lying} <= set(named)
    assert "device:etc/x: preshared key, as it is" in named


def test_65_none_of_our_tools_may_leave_a_core_file(played: Played) -> None:
    seen = played.processes.core_limit
    assert {name.split()[0] for name in seen} == {"fab", "inv", "keeper"}
    # A tool that was seen only in its first moments had not come to that line yet; each kind was seen after it.
    closed = {name.split()[0] for name, limit in seen.items() if limit == "0"}
    assert closed == {"fab", "inv", "keeper"}


def test_66_what_is_made_is_for_its_owner_alone_whatever_the_umask(session: Session) -> None:
    assert session.loose == []
