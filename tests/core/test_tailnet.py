"""The policy of a Headscale server says exactly what was consented to, whatever the tickets are called and whoever writes first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.tailnet import (
    Member,
    Passage,
    label,
    read_policy,
    with_passage,
    without_device,
    write_policy,
)
from support_tunnel.core.tailnet.passage import ours

FEW = settings(max_examples=50, deadline=None)
"""A draw is a whole network; a machine that is busy is no reason to fail."""

NETWORK = IPv4Network("100.64.0.0/10")


# --- what a policy means: read by the rules of the format (06, section 4), not by the code under test ----------------


def parsed(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def names(aliases: Sequence[str], member: Member, policy: Mapping[str, Any]) -> bool:
    return any(policy["hosts"].get(alias, alias) == str(member.address) or alias in member.tags for alias in aliases)


def reached(policy: Mapping[str, Any], members: Sequence[Member]) -> set[tuple[Member, Member, int]]:
    """Everything that some grant allows: deny is what is left."""
    return {
        (source, target, int(words.removeprefix("tcp:")))
        for grant in policy["grants"]
        for source, target in permutations(members, 2)
        if names(grant["src"], source, policy) and names(grant["dst"], target, policy)
        for words in grant["ip"]
    }


# --- what was consented to ------------------------------------------------------------------------------------------

TICKETS = st.sampled_from(
    ["ST-2025-001", "st-2025-002", "a", "a--h-b", "A-h-b", "Ärger im Büro", "🔥", "x" * 80]
) | st.text(min_size=1, max_size=12).filter(str.strip)
HELPERS = st.sampled_from(["hana", "Bob", "b--h-c", "d-0badcafe", "Zoë K."])
PORTS = st.lists(st.sampled_from([1, 22, 80, 443, 8888, 47022, 65535]), min_size=1, max_size=4)
DEVICES = st.integers(0, 2**32 - 1).map("{:08x}".format)


@st.composite
def passages(draw: st.DrawFn) -> list[Passage]:
    """Up to eight tunnels in a few tickets with helpers that some of them share."""
    tickets = draw(st.lists(TICKETS, min_size=1, max_size=4))
    return [
        Passage(
            label(draw(st.sampled_from(tickets))),
            device,
            tuple(label(name) for name in draw(st.lists(HELPERS, min_size=1, max_size=3))),
            tuple(draw(PORTS)),
        )
        for device in draw(st.lists(DEVICES, max_size=8, unique=True))
    ]


def joined(found: Sequence[Passage]) -> Iterator[Member]:
    """One node for each device and each helper of a ticket, and two strangers: what could be there at most."""
    tags = dict.fromkeys(tag for passage in found for tag in passage.tags)
    addresses = iter(NETWORK.hosts())
    yield from (Member(next(addresses), frozenset({tag})) for tag in tags)
    yield Member(next(addresses), frozenset({"tag:somebody-elses"}))
    yield Member(next(addresses), frozenset())


def consented(found: Sequence[Passage], members: Sequence[Member]) -> set[tuple[Member, Member, int]]:
    return {
        (source, target, port)
        for passage in found
        for source, target in permutations(members, 2)
        if any(f"tag:st-{passage.ticket}--h-{helper}" in source.tags for helper in passage.helpers)
        and f"tag:st-{passage.ticket}--d-{passage.device}" in target.tags
        for port in passage.ports
    }


# --- the properties -------------------------------------------------------------------------------------------------


@FEW
@given(passages())
def test_what_is_reached_is_what_was_consented_to(found: list[Passage]) -> None:
    members = list(joined(found))
    assert reached(parsed(write_policy(found)), members) == consented(found, members)


@FEW
@given(passages(), st.data())
def test_who_helps_in_two_tickets_joins_no_others(found: list[Passage], data: st.DataObject) -> None:
    helpers = sorted({tag for passage in found for tag in passage.tags if "--h-" in tag})
    both = Member(IPv4Address("100.127.0.1"), frozenset(data.draw(st.sets(st.sampled_from(helpers or ["tag:none"])))))
    members = [*joined(found), both]
    assert reached(parsed(write_policy(found)), members) == consented(found, members)


@FEW
@given(passages())
def test_a_policy_is_read_back_as_it_was_written(found: list[Passage]) -> None:
    read = read_policy(write_policy(found, list(joined(found))))
    assert sorted(read, key=lambda passage: passage.device) == sorted(found, key=lambda passage: passage.device)


@FEW
@given(passages(), st.randoms())
def test_the_same_tunnels_make_the_same_text_in_any_order(found: list[Passage], random: Any) -> None:
    shuffled = random.sample(found, len(found))
    members = list(joined(found))
    assert write_policy(shuffled, random.sample(members, len(members))) == write_policy(found, members)


@FEW
@given(passages(), passages(), st.randoms())
def test_changes_in_any_order_lose_nothing(kept: list[Passage], closed: list[Passage], random: Any) -> None:
    closed = [passage for passage in closed if passage.device not in {other.device for other in kept}]
    # Each tool opens, some close later; between those two, anything of the others'.
    todo = [[("open", passage)] for passage in kept] + [[("open", p), ("close", p)] for p in closed]
    text = None
    while todo:
        tool = random.choice(todo)
        verb, passage = tool.pop(0)
        text = with_passage(text, passage) if verb == "open" else without_device(text, passage.device)
        todo = [steps for steps in todo if steps]
    assert (text or write_policy([])) == write_policy(kept)


@FEW
@given(passages())
def test_every_tag_is_declared_and_one_that_headscale_takes(found: list[Passage]) -> None:
    policy = parsed(write_policy(found))
    used = {tag for grant in policy["grants"][1:] for tag in grant["src"] + grant["dst"]}
    assert used == set(policy["tagOwners"])
    assert all(owners == [] for owners in policy["tagOwners"].values())
    assert all(re.fullmatch(r"tag:[a-z][a-z0-9-]{0,62}", tag) for tag in used)


@FEW
@given(passages())
def test_the_tests_of_a_policy_are_true_and_cover_every_pair(found: list[Passage]) -> None:
    members = list(joined(found))
    policy = parsed(write_policy(found, members))
    allowed = reached(policy, members)
    by_address = {str(member.address): member for member in members}
    told = set()
    for test in policy["tests"]:
        for verb in ("accept", "deny"):
            for words in test.get(verb, ()):
                address, port = words.rsplit(":", 1)
                way = (by_address[test["src"]], by_address[address], int(port))
                assert (way in allowed) == (verb == "accept")
                told.add((way, verb))
    mine = [member for member in members if ours(member.tags)]
    assert {way for way, verb in told if verb == "accept"} == allowed
    assert {way[:2] for way, verb in told if verb == "deny"} == set(permutations(mine, 2))


# --- many -----------------------------------------------------------------------------------------------------------


def many(count: int) -> list[Passage]:
    return [Passage(f"st-2026-{n:05}", f"{n:08x}", (f"helper-{n % 97}",), (47022, 8888)) for n in range(count)]


def test_a_thousand_tunnels_are_one_text_of_bounded_size() -> None:
    count = 1000
    found = many(count)
    members = list(joined(found))
    text = with_passage(write_policy(found[1:], members), found[0], members)
    assert len(text) < 600 * count
    assert len(read_policy(text)) == count


def test_of_many_tunnels_the_changed_one_is_proved_first() -> None:
    found = many(40)
    members = list(joined(found))
    policy = parsed(write_policy(found, members, found[7].device))
    mine = {str(member.address) for member in members if member.tags & set(found[7].tags)}
    theirs = {str(member.address) for member in members if ours(member.tags)} - mine
    denied = {(t["src"], words.rsplit(":", 1)[0]) for t in policy["tests"] for words in t["deny"]}
    assert {(a, b) for a in mine for b in theirs} | {(b, a) for a in mine for b in theirs} <= denied
    # Every other helper's own device, too.
    accepted = {t["src"] for t in policy["tests"] if "accept" in t}
    assert len(accepted) == 40


def test_of_very_many_tunnels_some_tests_are_left() -> None:
    found = many(1000)
    members = list(joined(found))
    policy = parsed(write_policy(found, members, found[7].device))
    told = [(t["src"], words) for t in policy["tests"] for verb in ("accept", "deny") for words in t.get(verb, ())]
    assert 100 <= len(told) <= 400
    mine = {str(member.address) for member in members if member.tags & set(found[7].tags)}
    helper, device = (str(member.address) for member in members if member.tags & set(found[7].tags))
    assert {words for source, words in told if source in mine} >= {f"{helper}:22", f"{device}:22"}
    assert len({words for source, words in told if source in mine}) > 40


def test_a_policy_that_headscale_could_not_take_is_refused_here() -> None:
    with pytest.raises(CoordinatorError) as refused:
        write_policy(many(18_000))
    assert refused.value.code == "tailnet.full"
