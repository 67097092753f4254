"""What a standing Headscale server has of our tunnels, and what of it belongs to one, or to none that is there any more.

Pure. Nobody's ledger is asked: users, nodes, keys and the policy say it all, so a reaper needs the server alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from support_tunnel.core.ports import CoordinatorUser, JoinKey, Node
from support_tunnel.core.tailnet.passage import DEVICE_TAG, HELPER_TAG, Passage, ours
from support_tunnel.core.tailnet.stay import Stay, read_stay

__all__ = ["Belongings", "Seen", "astray", "belongings"]

_ByTags = Callable[[Iterable[str]], bool]


@dataclass(frozen=True, slots=True)
class Seen:
    """Read in the order of the fields, which is the reverse of how a tunnel begins: of what was seen, what it stands on is seen too."""

    nodes: Sequence[Node]
    keys: Sequence[JoinKey]
    passages: Sequence[Passage]
    users: Sequence[CoordinatorUser]
    unread: str = ""
    """Why there are no `passages`, where the policy is somebody else's."""

    @property
    def stays(self) -> dict[str, Stay]:
        """By device. Of two of one tool, as between the making of a new one and the end of the old, the one that ends first.

        Of two tools' that which was there first: the other tool saw it, and made nothing but its own record.
        """
        found: dict[str, Stay] = {}
        for user in sorted(self.users, key=lambda user: (len(user.id), user.id)):  # ids count up
            if (stay := read_stay(user.name)) is None:
                continue
            first = found.setdefault(stay.device, stay)
            if stay.nonce == first.nonce and stay.end < first.end:
                found[stay.device] = stay
        return found

    def anothers(self, device: str, nonce: str) -> bool:
        """Whether this tunnel is of a tool that drew other digits."""
        return (stay := self.stays.get(device)) is not None and stay.nonce != nonce

    def over(self, now: datetime) -> list[Stay]:
        return [stay for stay in self.stays.values() if stay.until <= now]


@dataclass(frozen=True, slots=True)
class Belongings:
    """By the server's ids. Keys are those that may still let somebody join; the device's node comes first."""

    keys: tuple[JoinKey, ...]
    nodes: tuple[Node, ...]
    users: tuple[CoordinatorUser, ...]
    passages: tuple[Passage, ...]

    @property
    def there(self) -> bool:
        return bool(self.keys or self.nodes or self.users or self.passages)


def belongings(seen: Seen, device: str, now: datetime, nonce: str | None = None) -> Belongings:
    """What is of this tunnel. A helper of the ticket whom another tunnel of it names too is that one's as well, and stays.

    Where the policy could not be read, that is every helper of a ticket that another tunnel has too. With a `nonce` what that
    tool has of it: nothing but its own record where the tunnel is another's.
    """
    if nonce is not None:
        own = [
            user
            for user in seen.users
            if (stay := read_stay(user.name)) and (stay.device, stay.nonce) == (device, nonce)
        ]
        if seen.anothers(device, nonce):
            return Belongings((), (), tuple(own), ())
        found = belongings(seen, device, now)
        return replace(found, users=tuple(own))
    passages = tuple(passage for passage in seen.passages if passage.device == device)
    users = tuple(user for user in seen.users if (stay := read_stay(user.name)) and stay.device == device)
    tickets = {passage.ticket for passage in passages}
    tickets |= {stay.ticket for user in users if (stay := read_stay(user.name))}
    stays = seen.stays
    others = _named(passage for passage in seen.passages if passage.device != device and passage.device in stays)
    shared = {stay.ticket for stay in stays.values() if stay.device != device} if seen.unread else set[str]()

    def of_it(tags: Iterable[str]) -> bool:
        return any(
            ((found := DEVICE_TAG.fullmatch(tag)) is not None and found["name"] == device)
            or (
                (found := HELPER_TAG.fullmatch(tag)) is not None
                and found["ticket"] in tickets - shared
                and tag not in others
            )
            for tag in tags
        )

    return _chosen(seen, of_it, users, passages, now)


def astray(seen: Seen, now: datetime) -> Belongings:
    """What is of our kind and of no tunnel that has a stay: left by a tool that died, or added by somebody. Nothing where the policy is not read."""
    if seen.unread:
        return Belongings((), (), (), ())
    stays = seen.stays
    named = _named(passage for passage in seen.passages if passage.device in stays)

    def of_nobody(tags: Iterable[str]) -> bool:
        tags = tuple(tags)
        return ours(tags) and not named & set(tags)

    gone = tuple(passage for passage in seen.passages if passage.device not in stays)
    return _chosen(seen, of_nobody, (), gone, now)


def _chosen(
    seen: Seen,
    wanted: _ByTags,
    users: tuple[CoordinatorUser, ...],
    passages: tuple[Passage, ...],
    now: datetime,
) -> Belongings:
    nodes = [node for node in seen.nodes if wanted(node.tags)]
    nodes.sort(key=lambda node: not any(DEVICE_TAG.fullmatch(tag) for tag in node.tags))
    return Belongings(
        tuple(key for key in seen.keys if wanted(key.tags) and _lets_in(key, now)), tuple(nodes), users, passages
    )


def _named(passages: Iterable[Passage]) -> frozenset[str]:
    return frozenset(tag for passage in passages for tag in passage.tags)


def _lets_in(key: JoinKey, now: datetime) -> bool:
    return (key.reusable or not key.used) and (key.expires is None or key.expires > now)
