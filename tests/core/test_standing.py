"""The record of a tunnel on a standing server, and which things there are whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import CoordinatorUser, JoinKey, Node
from support_tunnel.core.tailnet import Passage, label
from support_tunnel.core.tailnet.standing import Belongings, Seen, astray, belongings
from support_tunnel.core.tailnet.stay import Stay, read_stay

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
OURS, THEIRS = "00000001", "00000002"
LATER = NOW + timedelta(minutes=5)
A = Passage("t-1", "aaaaaaaa", ("ann", "hana"), (47022,))
B = Passage("t-1", "bbbbbbbb", ("ann",), (47022,))
C = Passage("t-2", "cccccccc", ("ann",), (47022,))


def user(number: int, name: str) -> CoordinatorUser:
    return CoordinatorUser(str(number), name, NOW)


def stay(passage: Passage, end: datetime = LATER, nonce: str = OURS) -> Stay:
    return Stay(passage.device, passage.ticket, nonce, int(end.timestamp()))


def node(number: int, *tags: str) -> Node:
    return Node(str(number), f"n{number}", (f"100.64.0.{number}",), None, tags, True, None, NOW, None)


def key(number: int, *tags: str, used: bool = False, expires: datetime | None = LATER) -> JoinKey:
    return JoinKey(str(number), None, tags, reusable=False, ephemeral=True, used=used, expires=expires)


def ids(found: Belongings) -> tuple[list[str], list[str], list[str], list[str]]:
    return (
        [each.id for each in found.keys],
        [each.id for each in found.nodes],
        [each.id for each in found.users],
        [each.device for each in found.passages],
    )


@given(st.text("0123456789abcdef", min_size=8, max_size=8), st.text(min_size=1), st.integers(10**9, 10**10 - 1))
def test_a_record_is_read_back_whatever_the_ticket_is_called(device: str, ticket: str, end: int) -> None:
    try:
        made = Stay(device, label(ticket), OURS, end)
    except UsageError:
        assert not ticket.strip()
        return
    assert read_stay(made.user) == made
    assert len(made.user) <= 63


@pytest.mark.parametrize(
    "name",
    [
        "support-tunnel-policy-lock",
        "st-aaaaaaaa-1764158400",
        "st-aaaaaaaa-t-1-1764158400",
        "st-aaaaaaaa-t-1-0000000g-1764158400",
        "st-aaaaaaaa-00000001-1764158400",
        "st-aaaaaaaa-t-1-00000001-999999999",
        "st-aaaaaaaa-t--1-00000001-1764158400",
        "st-AAAAAAAA-t-1-00000001-1764158400",
        "st-aaaaaaa-t-1-00000001-1764158400",
        "st-aaaaaaaa-t-1-00000001-1764158400x",
        "xst-aaaaaaaa-t-1-00000001-1764158400",
        f"st-aaaaaaaa-{'t' * 27}-00000001-1764158400",
        "ann",
    ],
)
def test_somebody_elses_user_is_no_record(name: str) -> None:
    assert read_stay(name) is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (("aaaaaaaa", "T 1", OURS, 1764158400), "tailnet.name"),
        (("aaaa", "t-1", OURS, 1764158400), "tailnet.device"),
        (("aaaaaaaa", "t-1", "zz", 1764158400), "tailnet.nonce"),
        (("aaaaaaaa", "t-1", OURS, 100), "tailnet.end"),
        (("aaaaaaaa", "t-1", OURS, 10**10), "tailnet.end"),
    ],
)
def test_what_no_record_can_say_is_refused(given: tuple[str, str, str, int], code: str) -> None:
    with pytest.raises(UsageError) as refused:
        Stay(*given)
    assert refused.value.code == code


def test_of_two_records_of_one_tunnel_the_earlier_end_counts() -> None:
    soon = NOW - timedelta(seconds=1)
    seen = Seen((), (), (), [user(1, stay(A).user), user(2, stay(A, soon).user), user(3, stay(B).user)])
    assert seen.stays["aaaaaaaa"].until == soon
    assert [over.device for over in seen.over(NOW)] == ["aaaaaaaa"]
    assert ids(belongings(seen, "aaaaaaaa", NOW))[2] == ["1", "2"]


def test_a_helper_whom_another_tunnel_of_the_ticket_names_is_not_taken_with_the_first() -> None:
    seen = Seen(
        [
            node(1, A.helper_tag("ann")),
            node(2, A.helper_tag("hana")),
            node(3, B.device_tag),
            node(4, A.device_tag),
            node(5, C.helper_tag("ann")),
            node(6, "tag:somebody"),
            node(7),
        ],
        [key(1, A.helper_tag("ann")), key(2, A.helper_tag("hana")), key(3, A.device_tag), key(4, C.device_tag), key(5)],
        [A, B, C],
        [user(1, stay(A).user), user(2, stay(B).user), user(3, stay(C).user), user(4, "somebody")],
    )
    assert ids(belongings(seen, A.device, NOW)) == (["2", "3"], ["4", "2"], ["1"], ["aaaaaaaa"])
    assert not astray(seen, NOW).there


def test_a_tunnel_whose_record_is_gone_keeps_no_helper() -> None:
    """B's rule is left without its record: it names nobody any more."""
    seen = Seen([node(1, A.helper_tag("ann")), node(2, B.device_tag)], [], [A, B], [user(1, stay(A).user)])
    assert ids(belongings(seen, A.device, NOW))[1] == ["1"]
    assert ids(astray(seen, NOW)) == ([], ["2"], [], ["bbbbbbbb"])


def test_keys_that_let_nobody_in_are_left_in_peace() -> None:
    spent = [key(1, A.device_tag, used=True), key(2, A.device_tag, expires=NOW), key(3, A.device_tag, expires=None)]
    seen = Seen((), spent, [A], [user(1, stay(A).user)])
    assert ids(belongings(seen, A.device, NOW))[0] == ["3"]


def test_what_is_of_our_kind_and_of_no_tunnel_is_astray_and_nothing_else_is() -> None:
    seen = Seen(
        [node(1, "tag:st-t-9--h-ann"), node(2, "tag:st-t-1--h-zoe"), node(3, "tag:stranger"), node(4, A.device_tag)],
        [key(1, "tag:st-t-9--d-99999999"), key(2, "tag:server"), key(3, A.helper_tag("ann"))],
        [A],
        [user(1, stay(A).user), user(2, "st-zoe")],
    )
    assert ids(astray(seen, NOW)) == (["1"], ["1", "2"], [], [])
