"""Any few tickets, devices, helpers and ports, spread over the nodes that a network has: what was consented to, and who carries which tags."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from support_tunnel.core.tailnet import Passage, label

__all__ = ["Consents", "consents"]

TICKETS = ("ST-2025-001", "Zoë's ☂", "st 2025 001")


@dataclass(frozen=True, slots=True)
class Consents:
    passages: tuple[Passage, ...]
    tags: dict[str, tuple[str, ...]]
    """By node. A helper of two tickets is one node with two tags."""
    reach: frozenset[tuple[str, str, int]]
    """Who may open which port of whom; nobody else anything."""

    def sees(self, name: str) -> set[str]:
        pairs = {(source, target) for source, target, _ in self.reach}
        return {b if name == a else a for a, b in pairs if name in (a, b)}


def consents(seed: int, names: Sequence[str], ports: Sequence[int]) -> Consents:
    """At least one device and one helper, in any numbers; at least one port a device."""
    chance = random.Random(seed)  # noqa: S311 - to be the same again, not to be a secret
    order = chance.sample(list(names), len(names))
    devices = order[: chance.randint(1, len(order) - 1)]
    helpers = order[len(devices) :]
    tags: dict[str, set[str]] = {name: set() for name in names}
    passages, reach = [], set()
    for number, device in enumerate(devices):
        let_in = chance.sample(helpers, chance.randint(1, len(helpers)))
        passage = Passage(
            label(chance.choice(TICKETS)),
            f"{number:08x}",
            tuple(let_in),
            tuple(chance.sample(list(ports), chance.randint(1, len(ports)))),
        )
        passages.append(passage)
        tags[device].add(passage.device_tag)
        for helper in let_in:
            tags[helper].add(passage.helper_tag(helper))
        reach |= {(helper, device, port) for helper in let_in for port in passage.ports}
    unneeded = label("of no ticket")
    whole = {
        name: tuple(sorted(kept)) or (Passage(unneeded, "f" * 8, (name,), (1,)).helper_tag(name),)
        for name, kept in tags.items()
    }
    if idle := [name for name, kept in tags.items() if not kept]:
        # Its tag has to be one that the policy knows; the device that it is for is not there.
        passages.append(Passage(unneeded, "f" * 8, tuple(idle), (1,)))
    return Consents(tuple(passages), whole, frozenset(reach))
