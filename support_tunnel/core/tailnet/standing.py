"""What a standing Headscale server has of our tunnels, and what of it belongs to one, or to none that is there any more.

Pure. Nobody's ledger is asked: users, nodes, keys and the policy say it all, so a reaper needs the server alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
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

    @property
    def stays(self) -> dict[str, Stay]:
        """By device. Of two of one device, as between the making of a new one and the end of the old, the one that ends first."""
        found: dict[str, Stay] = {}
        for user in self.users:
            stay = read_stay(user.name)
            if stay is not None and (stay.device not in found or stay.end < found[stay.device].end):
                found[stay.device] = stay
        return found

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


def belongings(seen: Seen, device: str, now: datetime) -> Belongings:
    """What is of this tunnel. A helper of the ticket whom another tunnel of it names too is that one's as well, and stays."""
    passages = tuple(passage for passage in seen.passages if passage.device == device)
    users = tuple(user for user in seen.users if (stay := read_stay(user.name)) and stay.device == device)
    tickets = {passage.ticket for passage in passages}
    tickets |= {stay.ticket for user in users if (stay := read_stay(user.name))}
    others = _named(passage for passage in seen.passages if passage.device != device and passage.device in seen.stays)

    def of_it(tags: Iterable[str]) -> bool:
        return any(
            ((found := DEVICE_TAG.fullmatch(tag)) is not None and found["name"] == device)
            or ((found := HELPER_TAG.fullmatch(tag)) is not None and found["ticket"] in tickets and tag not in others)
            for tag in tags
        )

    return _chosen(seen, of_it, users, passages, now)


def astray(seen: Seen, now: datetime) -> Belongings:
    """What is of our kind and of no tunnel that has a stay: left by a tool that died, or added by somebody."""
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
