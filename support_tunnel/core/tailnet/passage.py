"""One consented way through the network: the helpers of a tunnel to its device, on its ports. What is not one is closed.

The unit is the tunnel and not the ticket, because consent is given for a tunnel: a second device under the same ticket has its own
owner, ports and helpers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import SHORT
from support_tunnel.core.scope import MAX_PORTS
from support_tunnel.core.tailnet.labels import WORDS, is_label

__all__ = ["DEVICE_TAG", "HELPER_TAG", "Passage", "ours"]

DEVICE_TAG: Final = re.compile(rf"tag:st-(?P<ticket>{WORDS})--d-(?P<name>{SHORT.pattern})")
HELPER_TAG: Final = re.compile(rf"tag:st-(?P<ticket>{WORDS})--h-(?P<name>{WORDS})")


@dataclass(frozen=True, slots=True)
class Passage:
    """Helpers and ports are kept sorted and without doubles. Raises UsageError `tailnet.*` for one that cannot be."""

    ticket: str
    """A label (`labels.label`)."""
    device: str
    """First 8 hex digits of the tunnel's id, like every name on the device."""
    helpers: tuple[str, ...]
    """Labels, at least one."""
    ports: tuple[int, ...]
    """TCP ports of the device's address in the network, at least one; the session's own port is not added by itself."""

    def __post_init__(self) -> None:
        if not all(is_label(name) for name in (self.ticket, *self.helpers)):
            raise UsageError("tailnet.name", "a ticket or helper is not named by a label")
        if not SHORT.fullmatch(self.device):
            raise UsageError("tailnet.device", "a device is named by the first 8 hex digits of the tunnel's id")
        if not self.helpers:
            raise UsageError("tailnet.helpers", "a tunnel needs a helper", next_step="Name one with --helper.")
        # bool is an int in Python: `true` for a port must not become port 1.
        if any(type(port) is not int or not 1 <= port <= 65535 for port in self.ports):
            raise UsageError("tailnet.ports", "ports are whole numbers from 1 to 65535")
        if not 1 <= len(set(self.ports)) <= MAX_PORTS + 1:
            raise UsageError("tailnet.ports", f"a device has 1 to {MAX_PORTS} ports, and that of its session")
        object.__setattr__(self, "helpers", tuple(sorted(set(self.helpers))))
        object.__setattr__(self, "ports", tuple(sorted(set(self.ports))))

    @property
    def device_tag(self) -> str:
        """What the device's join key carries, and nothing else does."""
        return f"tag:st-{self.ticket}--d-{self.device}"

    def helper_tag(self, helper: str) -> str:
        """What this helper's join key carries; one tag for all devices of the ticket."""
        return f"tag:st-{self.ticket}--h-{helper}"

    @property
    def tags(self) -> tuple[str, ...]:
        return (self.device_tag, *map(self.helper_tag, self.helpers))


def ours(tags: Iterable[str], ticket: str | None = None) -> bool:
    """Whether a node with these tags is of a ticket of ours, or of the one that is named: what a teardown deletes."""
    found = [match for tag in tags for pattern in (DEVICE_TAG, HELPER_TAG) if (match := pattern.fullmatch(tag))]
    return any(ticket in (None, match["ticket"]) for match in found)
