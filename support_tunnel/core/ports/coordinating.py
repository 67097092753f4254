"""A Headscale server as flows see it: users, keys, nodes and the one policy of its one network.

A coordinator is trusted with reachability, never with a login (2.15). Ids are text and belong to one server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from support_tunnel.core.secret import Secret

__all__ = [
    "ApiKey",
    "Coordinator",
    "CoordinatorUser",
    "JoinKey",
    "MintedApiKey",
    "MintedJoinKey",
    "Node",
    "StoredPolicy",
]


@dataclass(frozen=True, slots=True)
class CoordinatorUser:
    id: str
    name: str
    created: datetime


@dataclass(frozen=True, slots=True)
class JoinKey:
    """What is known of a pre-auth key after it was made. `user` is the id of its owner; a key with tags has none.

    `expires` limits joining, not what joined. None: never. Year 1: born expired, made by somebody without an expiration.
    """

    id: str
    user: str | None
    tags: tuple[str, ...]
    reusable: bool
    ephemeral: bool
    used: bool
    expires: datetime | None


@dataclass(frozen=True, slots=True)
class MintedJoinKey:
    """A new pre-auth key; its text is told once and lets whoever has it join."""

    known: JoinKey
    text: Secret[str]


@dataclass(frozen=True, slots=True)
class Node:
    """One member of the network. `user` is None and `tags` are not empty, or the other way round.

    `online` may be stale (Headscale 0.29 has three ways to be wrong about it): absence from the list is the only proof.
    """

    id: str
    name: str
    addresses: tuple[str, ...]
    user: str | None
    tags: tuple[str, ...]
    online: bool
    expires: datetime | None
    created: datetime
    key: str | None
    """Id of the pre-auth key it joined with, where the server still knows that."""


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """HuJSON as it was set; `changed` is the server's time of that, None where it does not say."""

    text: str
    changed: datetime | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    prefix: str
    expires: datetime | None
    created: datetime | None


@dataclass(frozen=True, slots=True)
class MintedApiKey:
    """A new key to this very interface, with all its rights; its text is told once."""

    prefix: str
    text: Secret[str]


class Coordinator(Protocol):
    """A Headscale server's v1 API.

    Raises CoordinatorError: `headscale.unavailable` (it does not answer, or cannot serve), `.certificate` (somebody else's
    TLS), `.version` (not one of ours), `.answer` (what answers is no Headscale), `.auth` (the API key), `.absent` (a 404
    that Headscale itself gave, and nothing else), `.refused` (it says why), `.unsure` (a change that may or may not have
    happened; only of calls that are not repeated by themselves: `create_*`). UsageError where it can be seen here already.
    """

    def version(self) -> str:
        """What the server says it is, such as `0.29.2`."""
        ...

    def health(self) -> None:
        """Return if the server accepts the API key and reaches its database."""
        ...

    def now(self) -> datetime:
        """The server's own clock, by which it judges keys. To the second."""
        ...

    def certificate_end(self) -> datetime | None:
        """Until when its TLS certificate is valid; None where that cannot be seen: over plain http, or by a pinned fingerprint."""
        ...

    def users(self) -> Sequence[CoordinatorUser]: ...

    def create_user(self, name: str) -> CoordinatorUser:
        """Raises `headscale.refused` when the name is taken."""
        ...

    def delete_user(self, user: str) -> None:
        """Delete by id, with its pre-auth keys. Raises `headscale.refused` while it owns nodes; tagged nodes are nobody's."""
        ...

    def join_keys(self) -> Sequence[JoinKey]: ...

    def create_join_key(
        self,
        lifetime: int,
        *,
        user: str | None = None,
        tags: Sequence[str] = (),
        ephemeral: bool = True,
        reusable: bool = False,
    ) -> MintedJoinKey:
        """Make a key that lets join for `lifetime` seconds of the server's clock, for a user's id or for tags, not both."""
        ...

    def expire_join_key(self, key: str) -> None:
        """End a key by id; one that is expired, used or unknown is no error. Nodes that joined with it stay."""
        ...

    def nodes(self) -> Sequence[Node]: ...

    def node(self, node: str) -> Node: ...

    def expire_node(self, node: str) -> Node:
        """Make it log in again; peers are told, the row stays."""
        ...

    def delete_node(self, node: str) -> None:
        """Cut it off and forget it. The node itself is not told."""
        ...

    def tag_node(self, node: str, tags: Sequence[str]) -> Node:
        """Replace its tags, at least one, each owned in the policy. A user's node becomes nobody's by that, for ever."""
        ...

    def policy(self) -> StoredPolicy | None:
        """The policy; None when none was ever set, which on Headscale means that everybody reaches everybody."""
        ...

    def set_policy(self, text: str) -> StoredPolicy:
        """Check, then replace the whole policy. Raises `headscale.refused`, and the old one stays, when its own tests fail."""
        ...

    def check_policy(self, text: str) -> None:
        """Judge a policy, its tests against the nodes of now, and change nothing. Raises `headscale.refused`."""
        ...

    def api_keys(self) -> Sequence[ApiKey]: ...

    def create_api_key(self, lifetime: int) -> MintedApiKey:
        """Make another key with all rights, for `lifetime` seconds of the server's clock."""
        ...

    def expire_api_key(self, prefix: str) -> None:
        """End an API key, this client's own too. Raises `headscale.absent` for one that is not in the list."""
        ...
