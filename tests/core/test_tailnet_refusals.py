"""Names of tickets and helpers, and what is no policy of ours: refused, whatever somebody typed or an attacker wrote."""

from __future__ import annotations

import contextlib
import dataclasses
import unicodedata
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from support_tunnel.core.errors import CoordinatorError, UsageError, WrongState
from support_tunnel.core.tailnet import Member, Passage, label, read_policy, with_passage, without_device, write_policy
from support_tunnel.core.tailnet.passage import ours
from tests.core.test_tailnet import parsed

# --- names ----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=40))
@example("\ud800")
@example("\u212a" * 30)  # Kelvin signs, which are k in small letters
def test_every_text_has_a_name_that_is_a_name_of_its_own(text: str) -> None:
    if not text.strip():
        with pytest.raises(UsageError, match="need a name"):
            label(text)
        return
    made = label(text)
    assert len(made) <= 26
    assert "--" not in made
    assert made.replace("-", "").isalnum()
    assert made.isascii()
    assert label(text.upper().lower()) in (made, label(text.upper()))


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_two_texts_have_two_names(one: str, other: str) -> None:
    folded = [unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", t).casefold()).strip() for t in (one, other)]
    assume(all(folded))
    assert (label(one) == label(other)) == (folded[0] == folded[1])
    # Nobody takes the name of another's ticket by typing it.
    assert label(label(one)) == label(one) or folded[0] != label(one)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ST-2025-001", "st-2025-001"),
        (" st-2025-001\n", "st-2025-001"),
        ("a--b", "a-b-90827a2e56361a8f"),
        ("0123456789abcdef", "012345678-9f9f5111f7b27a78"),
        ("🔥", "ed8d830565bfcc5c"),
    ],
)
def test_names_of_texts(text: str, name: str) -> None:
    assert label(text) == name


def test_a_ticket_cannot_be_named_into_the_helpers_of_another() -> None:
    tricky = Passage(label("a--h-b"), "00000001", (label("c"),), (22,))
    plain = Passage(label("a"), "00000002", (label("b--h-c"),), (22,))
    assert not set(tricky.tags) & set(plain.tags)


# --- what is refused ------------------------------------------------------------------------------------------------

ONE = Passage("st-2025-001", "0badcafe", ("hana",), (47022, 8888))
TWO = Passage("st-2025-002", "1badcafe", ("bob",), (47022,))


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("ticket", "", "tailnet.name"),
        ("ticket", "a--b", "tailnet.name"),
        ("ticket", "x" * 27, "tailnet.name"),
        ("device", "0badcaf", "tailnet.device"),
        ("device", "0BADCAFE", "tailnet.device"),
        ("helpers", (), "tailnet.helpers"),
        ("helpers", ("Hana",), "tailnet.name"),
        ("ports", (), "tailnet.ports"),
        ("ports", (0,), "tailnet.ports"),
        ("ports", (True,), "tailnet.ports"),
        ("ports", tuple(range(1, 19)), "tailnet.ports"),
    ],
)
def test_a_passage_that_cannot_be(field: str, value: Any, code: str) -> None:
    with pytest.raises(UsageError) as refused:
        dataclasses.replace(ONE, **{field: value})
    assert refused.value.code == code


GOOD = write_policy([ONE, TWO])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"grants": []}',
        GOOD.replace("policy-1", "policy-2"),
        GOOD.replace('"grants": [', '"grants": [{"src":["*"],"dst":["*"],"ip":["*"]},'),
        GOOD.replace('"ip":["tcp:9"]},', '"ip":["tcp:9"]},\n{"src":["*"],"dst":["*"],"ip":["*"]},'),
        GOOD.replace('["tcp:9"]', '["*"]'),
        GOOD.replace('"tcp:47022"', '"udp:47022"', 1),
        GOOD.replace('"tcp:47022"', '"tcp:047022"', 1),
        GOOD.replace('"tcp:47022"', '"tcp:4_7022"', 1),
        GOOD.replace('"tcp:47022"', '"*"', 1),
        GOOD.replace("--h-hana", "--h-eve", 1),
        GOOD.replace('h-bob": []', 'h-bob": ["group:admins"]'),
        GOOD.replace('"tests": []', '"acls": [{"action":"accept","src":["*"],"dst":["*:*"]}], "tests": []'),
        GOOD.replace('"sshTests": []', '"ssh": [], "sshTests": []'),
        GOOD.replace('"tests": []', '"grants": [], "tests": []'),
        GOOD.replace('"tests": []', '// a remark\n"tests": []'),
        GOOD.replace("1badcafe", "0badcafe"),
        GOOD[: len(GOOD) // 2],
        "[]",
        "[" * 100_000,
        GOOD.replace("192.0.2.1", "100.64.0.1"),
        GOOD.replace('"nobody": "192.0.2.2"', '"nobody": "192.0.2.2", "somebody": "10.0.0.1"'),
    ],
)
def test_a_policy_that_is_not_ours_is_refused(text: str) -> None:
    assert text != GOOD
    for change in (
        lambda: read_policy(text),
        lambda: with_passage(text, ONE),
        lambda: without_device(text, ONE.device),
    ):
        with pytest.raises(CoordinatorError) as refused:
            change()
        assert refused.value.code == "tailnet.foreign"


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_a_policy_with_a_changed_character_is_refused_or_means_what_it_says(place: int, character: str) -> None:
    text = GOOD[:place] + character + GOOD[place + 1 :]
    with contextlib.suppress(CoordinatorError):
        assert parsed(write_policy(read_policy(text)))["grants"] == parsed(text)["grants"]


def test_a_tunnels_name_belongs_to_one_ticket() -> None:
    with pytest.raises(WrongState) as refused:
        with_passage(GOOD, dataclasses.replace(TWO, device=ONE.device))
    assert refused.value.code == "tailnet.taken"


def test_a_tunnel_is_opened_wider_by_its_own_passage_only() -> None:
    wider = dataclasses.replace(ONE, helpers=("hana", "zoe"), ports=(47022,))
    assert read_policy(with_passage(GOOD, wider)) == (wider, TWO)


def test_a_server_without_a_policy_gets_one_that_denies() -> None:
    assert parsed(without_device(None, "0badcafe"))["grants"] != []
    assert read_policy(without_device(None, "0badcafe")) == ()


def test_nodes_with_addresses_of_both_kinds_are_proved() -> None:
    members = [
        Member(IPv6Address("fd7a:115c:a1e0::1"), frozenset({ONE.device_tag})),
        Member(IPv4Address("100.64.0.9"), frozenset({ONE.helper_tag("hana")})),
    ]
    tests = parsed(write_policy([ONE], members))["tests"]
    assert {"accept": ["[fd7a:115c:a1e0::1]:8888", "[fd7a:115c:a1e0::1]:47022"]}.items() <= tests[0].items()


def test_who_belongs_to_a_ticket() -> None:
    assert ours({ONE.device_tag}, "st-2025-001")
    assert ours({"tag:x", ONE.helper_tag("hana")})
    assert not ours({ONE.device_tag}, "st-2025-0")
    assert not ours({"tag:st-customer", "tag:st-a--x-b", "tag:st--d-0badcafe"})
