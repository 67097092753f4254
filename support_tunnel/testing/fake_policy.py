"""Judges a policy as far as a fake Headscale has to: its form, its tags, and its own `tests` against the nodes that are there.

Knows tags, users, groups, hosts, addresses and `*`; `autogroup:*`, `via` and `app` it does not, and says so. The real judge is Headscale;
tests/headscale/test_contract.py holds the two together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from support_tunnel.core.ports import CoordinatorUser, Node

__all__ = ["verdict"]

_SECTIONS = frozenset(
    [
        "groups",
        "hosts",
        "tagOwners",
        "acls",
        "grants",
        "nodeAttrs",
        "autoApprovers",
        "ssh",
        "tests",
        "sshTests",
        "randomizeClientPort",
    ]
)
"""What a policy of 0.29 may hold at its top; anything else it refuses."""


def verdict(text: str, nodes: Sequence[Node], users: Sequence[CoordinatorUser]) -> str:
    """Why this policy is refused, in words like Headscale's; empty for one that is taken."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return "parsing policy: not JSON (comments are not read here)"
    if not isinstance(parsed, dict):
        return "parsing policy: not an object"
    if unknown := parsed.keys() - _SECTIONS:
        return f"parsing policy: unknown field: {sorted(unknown)}"
    named = set(re.findall(r'"(tag:[^":]+)', json.dumps([parsed.get("grants"), parsed.get("ssh"), parsed.get("acls")])))
    if undeclared := named - parsed.get("tagOwners", {}).keys():
        return f"tag not defined in policy: {sorted(undeclared)}"
    judge = _Judge(parsed, nodes, {user.name: user.id for user in users})
    return next((words for test in parsed.get("tests", []) for words in judge.failures(test)), "")


class _Judge:
    def __init__(self, policy: Mapping[str, Any], nodes: Sequence[Node], users: Mapping[str, str]) -> None:
        self._policy = policy
        self._nodes = nodes
        self._users = users

    def failures(self, test: Mapping[str, Any]) -> Iterable[str]:
        sources = self._addresses(test["src"])
        if not sources:
            yield "source resolved to no IP addresses"
        for wanted, ends in ((True, test.get("accept", [])), (False, test.get("deny", []))):
            for end in ends:
                host, _, port = end.rpartition(":")
                targets = self._addresses(host)
                if not targets:
                    yield "destination resolved to no IP addresses"
                elif wanted and not all(self._allowed(s, t, port) for s in sources for t in targets):
                    yield f"test {test['src']} to {end}: expected ALLOWED, got DENIED"
                elif not wanted and any(self._allowed(s, t, port) for s in sources for t in targets):
                    yield f"test {test['src']} to {end}: expected DENIED, got ALLOWED"

    def _allowed(self, source: str, target: str, port: str) -> bool:
        grants = self._policy.get("grants")
        if grants is None and self._policy.get("acls") is None:
            return True  # a policy without rules lets everybody through
        return any(
            any(source in self._addresses(name) or name == "*" for name in grant["src"])
            and any(target in self._addresses(name) or name == "*" for name in grant["dst"])
            and any(_covers(word, int(port)) for word in grant.get("ip", []))
            for grant in grants or []
        )

    def _addresses(self, name: str) -> frozenset[str]:
        """IPv4 addresses behind a name of the policy."""
        if name.startswith("tag:"):
            return _v4(node for node in self._nodes if name in node.tags)
        if name.startswith("group:"):
            return frozenset[str]().union(*(self._addresses(member) for member in self._policy["groups"][name]))
        if name.endswith("@"):
            return _v4(node for node in self._nodes if node.user == self._users.get(name[:-1], "-"))
        if name == "*":
            return _v4(self._nodes)
        if name.startswith("autogroup:"):
            raise NotImplementedError(f"the fake Headscale does not know {name}")
        return frozenset({str(ip_address(self._policy.get("hosts", {}).get(name, name).removesuffix("/32")))})


def _v4(nodes: Iterable[Node]) -> frozenset[str]:
    return frozenset(address for node in nodes for address in node.addresses if ":" not in address)


def _covers(word: str, port: int) -> bool:
    if word == "*":
        return True
    protocol, _, ports = word.rpartition(":")
    first, _, last = ports.partition("-")
    return protocol in ("", "tcp") and (ports == "*" or int(first) <= port <= int(last or first))
