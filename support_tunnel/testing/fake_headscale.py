"""A Headscale in memory, for tests of flows: users, keys, nodes that join, the policy and the API keys, with a clock that a test moves.

The same cases run over it and over a real Headscale 0.29.2 (tests/headscale/test_contract.py); it must refuse what that refuses.
Nothing flows between its nodes; of a policy it knows what `fake_policy` does.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from support_tunnel.core.coordinator_words import check_id, check_key_wish, check_lifetime, check_tags, check_user_name
from support_tunnel.core.errors import CoordinatorError
from support_tunnel.core.ports import (
    ApiKey,
    Clock,
    CoordinatorUser,
    JoinKey,
    MintedApiKey,
    MintedJoinKey,
    Node,
    StoredPolicy,
)
from support_tunnel.core.secret import Secret
from support_tunnel.testing.fake_policy import verdict

__all__ = ["FakeCoordinator", "FakeHeadscale"]


@dataclass(slots=True)
class FakeHeadscale:
    """The server. A test may look into it and change it, as an operator or a hostile one would.

    `trouble` is raised by every call while it is set: a server that was killed, or whose database is gone.
    """

    clock: Clock
    release: str = "0.29.2"
    trouble: CoordinatorError | None = None
    users: dict[str, CoordinatorUser] = field(default_factory=dict)
    keys: dict[str, JoinKey] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    policy: StoredPolicy | None = None
    certificate_end: datetime | None = None
    api_keys: dict[str, ApiKey] = field(default_factory=dict)
    _texts: dict[str, Secret[str]] = field(default_factory=dict)
    """Secret texts, by `auth-<id>` and `api-<id>`."""
    _numbers: dict[str, Iterator[int]] = field(default_factory=dict)

    def face(self, key: Secret[str] | None = None) -> FakeCoordinator:
        """A client with this API key, or with a new one, as `headscale apikeys create` on the server makes it."""
        return FakeCoordinator(self, key or self.mint_api_key(24 * 3600).text)

    def mint_api_key(self, lifetime: int) -> MintedApiKey:
        prefix, number = secrets.token_urlsafe(9), self.number("api")
        text = Secret(f"hskey-api-{prefix}-{secrets.token_urlsafe(48)}")
        now = self.clock.now()
        self.api_keys[number] = ApiKey(number, prefix, now + timedelta(seconds=lifetime), now)
        self._texts[f"api-{number}"] = text
        return MintedApiKey(prefix, text)

    def mint_key(
        self, expires: datetime | None, *, user: str | None, tags: Sequence[str], ephemeral: bool, reusable: bool
    ) -> MintedJoinKey:
        number = self.number("key")
        text = Secret(f"hskey-auth-{secrets.token_hex(6)}-{secrets.token_hex(32)}")
        known = JoinKey(number, user, tuple(tags), reusable, ephemeral, used=False, expires=expires)
        self.keys[number], self._texts[f"auth-{number}"] = known, text
        return MintedJoinKey(known, text)

    def join(self, key: Secret[str], name: str) -> str:
        """Let a node in with a pre-auth key and return the node's id. Raises CoordinatorError `headscale.refused` as it is told."""
        number = next((known for known in self.keys if self._texts[f"auth-{known}"] == key), None)
        if number is None:
            raise _refused("invalid pre auth key")
        known = self.keys[number]
        if known.expires is not None and known.expires <= self.clock.now():
            raise _refused("authkey expired")
        if known.used and not known.reusable:
            raise _refused("authkey already used")
        self.keys[number] = replace(known, used=True)
        node = self.number("node")
        taken = {other.name for other in self.nodes.values()}
        free = name if name not in taken else f"{name}-{node}"
        addresses = (f"100.64.0.{node}", f"fd7a:115c:a1e0::{int(node):x}")
        self.nodes[node] = Node(node, free, addresses, known.user, known.tags, True, None, self.clock.now(), number)
        return node

    def text_of(self, key: str) -> Secret[str]:
        """The whole text of a pre-auth key, which a real server no longer knows."""
        return self._texts[f"auth-{key}"]

    def accepts(self, key: Secret[str]) -> bool:
        now = self.clock.now()
        return any(
            self._texts[f"api-{number}"] == key and (known.expires is None or known.expires > now)
            for number, known in self.api_keys.items()
        )

    def number(self, kind: str) -> str:
        return str(next(self._numbers.setdefault(kind, iter(range(1, 1 << 30)))))


class FakeCoordinator:
    """One client of a fake Headscale; implements `ports.Coordinator`."""

    def __init__(self, server: FakeHeadscale, key: Secret[str]) -> None:
        self._server = server
        self._key = key

    def version(self) -> str:
        if self._server.trouble is not None:
            raise self._server.trouble
        if not re.fullmatch(r"0\.29\.\d+", self._server.release):
            raise CoordinatorError(
                "headscale.version", f"the Headscale server is {self._server.release}; this tool speaks with 0.29"
            )
        return self._server.release

    def health(self) -> None:
        self._enter()

    def now(self) -> datetime:
        self.version()
        return self._server.clock.now().replace(microsecond=0)

    def certificate_end(self) -> datetime | None:
        self.version()
        return self._server.certificate_end

    def users(self) -> Sequence[CoordinatorUser]:
        return list(self._enter().users.values())

    def create_user(self, name: str) -> CoordinatorUser:
        check_user_name(name)
        server = self._enter()
        if any(user.name == name for user in server.users.values()):
            raise _refused("creating user: it exists")
        number = server.number("user")
        server.users[number] = CoordinatorUser(number, name, server.clock.now())
        return server.users[number]

    def delete_user(self, user: str) -> None:
        check_id(user)
        server = self._enter()
        if user not in server.users:
            raise _absent()
        if any(node.user == user for node in server.nodes.values()):
            raise _refused("user not empty: node(s) found")
        del server.users[user]
        for number in [number for number, known in server.keys.items() if known.user == user]:
            del server.keys[number]

    def join_keys(self) -> Sequence[JoinKey]:
        return list(self._enter().keys.values())

    def create_join_key(
        self,
        lifetime: int,
        *,
        user: str | None = None,
        tags: Sequence[str] = (),
        ephemeral: bool = True,
        reusable: bool = False,
    ) -> MintedJoinKey:
        check_key_wish(lifetime, user, tags)
        server = self._enter()
        if user is not None and user not in server.users:
            raise _refused("user not found")
        expires = self.now() + timedelta(seconds=lifetime)
        return server.mint_key(expires, user=user, tags=tags, ephemeral=ephemeral, reusable=reusable)

    def expire_join_key(self, key: str) -> None:
        check_id(key)
        server = self._enter()
        if key in server.keys:
            server.keys[key] = replace(server.keys[key], expires=server.clock.now())

    def nodes(self) -> Sequence[Node]:
        return list(self._enter().nodes.values())

    def node(self, node: str) -> Node:
        check_id(node)
        server = self._enter()
        if node not in server.nodes:
            raise _absent()
        return server.nodes[node]

    def expire_node(self, node: str) -> Node:
        expired = replace(self.node(node), expires=self._server.clock.now(), online=False)
        self._server.nodes[node] = expired
        return expired

    def delete_node(self, node: str) -> None:
        del self._enter().nodes[self.node(node).id]

    def tag_node(self, node: str, tags: Sequence[str]) -> Node:
        check_tags(tags)
        known = self.node(node)
        owned = json.loads(self._server.policy.text).get("tagOwners", {}) if self._server.policy else {}
        if not set(tags) <= set(owned):
            raise _refused("requested tags are invalid or not permitted")
        self._server.nodes[node] = replace(known, tags=tuple(tags), user=None)
        return self._server.nodes[node]

    def policy(self) -> StoredPolicy | None:
        return self._enter().policy

    def set_policy(self, text: str) -> StoredPolicy:
        self.check_policy(text)
        self._server.policy = StoredPolicy(text, self._server.clock.now())
        return self._server.policy

    def check_policy(self, text: str) -> None:
        server = self._enter()
        if words := verdict(text, list(server.nodes.values()), list(server.users.values())):
            raise _refused(words)

    def api_keys(self) -> Sequence[ApiKey]:
        return list(self._enter().api_keys.values())

    def create_api_key(self, lifetime: int) -> MintedApiKey:
        check_lifetime(lifetime)
        return self._enter().mint_api_key(lifetime)

    def expire_api_key(self, prefix: str) -> None:
        server = self._enter()
        for number, known in server.api_keys.items():
            if known.prefix == prefix:
                server.api_keys[number] = replace(known, expires=server.clock.now())
                return
        raise _absent()

    def _enter(self) -> FakeHeadscale:
        self.version()
        if not self._server.accepts(self._key):
            raise CoordinatorError("headscale.auth", "the Headscale server does not accept this API key")
        return self._server


def _absent() -> CoordinatorError:
    return CoordinatorError("headscale.absent", "the Headscale server has no such thing; it may be gone")


def _refused(words: str) -> CoordinatorError:
    return CoordinatorError("headscale.refused", f"the Headscale server refuses this: {words}")
