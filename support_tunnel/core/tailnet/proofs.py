"""The tests that a policy carries: Headscale refuses one whose own tests fail, so a mistake of ours is stopped by another program.

They name nodes by address and only nodes that have joined, because Headscale refuses a test of what is not there. So they are made
anew for every change, from the server's list of now, and are no part of what a policy says. They cannot grow with the square of the
tickets: for each, Headscale walks over all rules. A long policy proves the tunnel that is changed first, in itself and against
others all over the list, and then each against its neighbours, as far as the budget goes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import chain, islice, permutations
from typing import Any, Final

from support_tunnel.core.tailnet.passage import Passage, ours

__all__ = ["Member", "proofs"]

_WALKS: Final = 200_000
"""Rules that Headscale may look at for all tests together; 2 to 4 s of its time on a small machine (bench/tailnet.py)."""
_DESTINATIONS: Final = 2
"""Of a test of one pair of nodes, about."""

Pair = tuple["Member", "Member"]


@dataclass(frozen=True, slots=True)
class Member:
    """A node that has joined, as its server lists it. One with tags that are not ours is nobody to us and proves nothing."""

    address: IPv4Address | IPv6Address
    tags: frozenset[str]


def proofs(
    passages: Sequence[Passage], members: Iterable[Member], about: str | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Make `tests` and `sshTests`. `about` is the device whose tunnel is changed."""
    here = sorted(
        {member for member in members if ours(member.tags)},
        key=lambda member: (member.address.version, int(member.address)),
    )
    to_device = {passage.device_tag: passage for passage in passages}
    helped = _by_helper(passages)
    tests: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"accept": [], "deny": []})
    ssh_tests: dict[str, list[str]] = defaultdict(list)
    budget = _WALKS // (_DESTINATIONS * max(1, len(passages)))
    for source, target in islice(_pairs(here, passages, about, budget), budget):
        allowed = {port for passage in _ways(source, target, to_device, helped) for port in passage.ports}
        wanted = {port for tag in target.tags if tag in to_device for port in to_device[tag].ports}
        test = tests[str(source.address)]
        test["accept"] += [_at(target, port) for port in sorted(allowed)]
        test["deny"] += [_at(target, port) for port in sorted(wanted - allowed | {_other(wanted)})]
        if allowed:
            ssh_tests[str(source.address)].append(str(target.address))
    return (
        [{"src": source, **{name: to for name, to in test.items() if to}} for source, test in tests.items()],
        # The session's own sshd is the only door: Tailscale's would let in by the word of the server (2.15).
        [{"src": source, "dst": targets, "deny": ["root"]} for source, targets in ssh_tests.items()],
    )


def _pairs(here: Sequence[Member], passages: Sequence[Passage], about: str | None, budget: int) -> Iterator[Pair]:
    """Yield pairs without doubles, the most telling first."""
    if len(here) * (len(here) - 1) <= budget:
        yield from permutations(here, 2)
        return
    at_stake = {tag for passage in passages if passage.device == about for tag in passage.tags}
    changed = [member for member in here if member.tags & at_stake]
    # By ticket, so that neighbours meet: one's own device, then the next ticket's.
    around = sorted(here, key=lambda member: sorted(member.tags))
    own = permutations(changed, 2)
    apart = [member for member in around if not member.tags & at_stake]
    spread = apart[:: max(1, 2 * len(apart) * len(changed) // budget)]
    others = (pair for other in spread for one in changed for pair in ((one, other), (other, one)))
    ring = (
        pair
        for step in range(1, len(around))
        for one, other in zip(around, around[step:] + around[:step], strict=True)
        for pair in ((one, other), (other, one))
    )
    yield from dict.fromkeys(islice(chain(own, others, ring), 3 * budget))


def _by_helper(passages: Iterable[Passage]) -> Mapping[str, set[Passage]]:
    found: dict[str, set[Passage]] = defaultdict(set)
    for passage in passages:
        for helper in passage.helpers:
            found[passage.helper_tag(helper)].add(passage)
    return found


def _ways(
    source: Member, target: Member, to_device: Mapping[str, Passage], helped: Mapping[str, set[Passage]]
) -> Iterator[Passage]:
    may = {passage for tag in source.tags for passage in helped.get(tag, ())}
    return (to_device[tag] for tag in target.tags if tag in to_device and to_device[tag] in may)


def _other(ports: set[int]) -> int:
    """A port that is not one of these; ssh's own where possible, which is the first that somebody would try."""
    free: Iterator[int] = (port for port in chain((22,), range(1, 65536)) if port not in ports)
    return next(free)


def _at(member: Member, port: int) -> str:
    return f"[{member.address}]:{port}" if member.address.version == 6 else f"{member.address}:{port}"
