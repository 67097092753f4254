"""The policy of a Headscale server as text: deny by default, one grant for each passage. Written and read; nothing else is understood.

A text that `write_policy` would not have written is refused as a whole. Rules of somebody else's cannot stand beside ours: with one
`*` among them two tickets meet, and we could promise nothing (docs/decisions/0014-tailnet-policy.md).

Facts (Headscale 0.29.2, hscontrol/policy/v2): a policy without `grants` lets everybody through, an empty list nobody. A rule whose
tag no node carries compiles to nothing, and with no compiled rule at all the server shows every node to every other one
(mapper/builder.go, buildTailPeers): hence `_FLOOR`, between two addresses that are nobody's.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NoReturn

from support_tunnel.core.errors import CoordinatorError, UsageError
from support_tunnel.core.tailnet.passage import DEVICE_TAG, HELPER_TAG, Passage
from support_tunnel.core.tailnet.proofs import Member, proofs

__all__ = ["LONGEST", "read_policy", "write_policy"]

_HOSTS: Final = {"support-tunnel-policy-1": "192.0.2.1", "nobody": "192.0.2.2"}  # RFC 5737: no node has these
"""Also says whose policy this is, and in which form: a comment would not outlive a program that formats."""
_FLOOR: Final = {"src": ["support-tunnel-policy-1"], "dst": ["nobody"], "ip": ["tcp:9"]}

LONGEST: Final = 3_500_000
"""Bytes. Headscale hands it on by gRPC, whose messages end at 4 MiB."""


def write_policy(passages: Iterable[Passage], members: Sequence[Member] = (), about: str | None = None) -> str:
    """Say who reaches whom. The same passages, members and subject make the same text, in whatever order they come.

    `members` are the nodes of now, for the tests that go with it; of a long policy those that are `about` a device come first.
    Raises CoordinatorError `tailnet.full`.
    """
    in_order = sorted(passages, key=lambda passage: (passage.ticket, passage.device))
    tests, ssh_tests = proofs(in_order, members, about)
    text = _text({**_rules(in_order), "tests": tests, "sshTests": ssh_tests})
    if len(text) > LONGEST:
        raise CoordinatorError(
            "tailnet.full", "this Headscale server's policy is full", next_step="Close tunnels, or use a second server."
        )
    return text


def read_policy(text: str) -> tuple[Passage, ...]:
    """Read back what `write_policy` wrote, in its order. Raises CoordinatorError `tailnet.foreign` for anything else."""
    try:
        said = json.loads(text, object_pairs_hook=_without_doubles)
        if said["hosts"] != _HOSTS:
            _foreign("it does not bear the mark of this version of support-tunnel")
        rules = {name: value for name, value in said.items() if name not in ("tests", "sshTests")}
        passages = tuple(_passage(grant) for grant in rules["grants"][1:])
        same = rules == _rules(passages)  # also: in order, no tag too many, the floor in its place
    # Whatever is wrong with a text that an attacker may have written is one and the same thing.
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, UsageError):
        _foreign("it is damaged, or in another form")
    if not same or len({passage.device for passage in passages}) != len(passages):
        _foreign("something in it is not ours")
    return passages


def _rules(passages: Collection[Passage]) -> dict[str, Any]:
    return {
        "hosts": _HOSTS,
        # Nobody may give these tags to a node: they come with a join key, or from whoever administers the server.
        "tagOwners": {tag: [] for tag in sorted({tag for passage in passages for tag in passage.tags})},
        "grants": [_FLOOR, *map(_grant, passages)],
    }


def _grant(passage: Passage) -> dict[str, list[str]]:
    return {
        "src": [passage.helper_tag(helper) for helper in passage.helpers],
        "dst": [passage.device_tag],
        "ip": [f"tcp:{port}" for port in passage.ports],
    }


def _passage(grant: Any) -> Passage:
    device = DEVICE_TAG.fullmatch(grant["dst"][0])
    helpers = [HELPER_TAG.fullmatch(tag) for tag in grant["src"]]
    ports = [int(words.removeprefix("tcp:")) for words in grant["ip"]]
    if device is None or None in helpers:
        raise ValueError("a tag that is not ours")
    return Passage(device["ticket"], device["name"], tuple(match["name"] for match in helpers if match), tuple(ports))


def _text(policy: dict[str, Any]) -> str:
    """One entry a line, so that a person and `diff` can read it."""
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {_lines(value)}" for name, value in policy.items()) + "\n}\n"


def _lines(value: dict[str, Any] | list[Any]) -> str:
    if not value:
        return json.dumps(value)
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"  {json.dumps(name)}: {_short(part)}" for name, part in value.items()) + "\n}"
    return "[\n" + ",\n".join(f"  {_short(part)}" for part in value) + "\n]"


def _short(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _foreign(why: str) -> NoReturn:
    raise CoordinatorError(
        "tailnet.foreign",
        f"the policy of this Headscale server was not written by support-tunnel: {why}",
        next_step="Use a Headscale server for support alone; rules beside ours could let two tickets meet.",
    )
