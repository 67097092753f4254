"""One tunnel more or less in a policy that others change too: text in, text out, and every other tunnel is in it as before.

Pure, so it can be done again on a newer text. Headscale has no compare-and-set; that nobody writes between reading and writing is
the caller's business (flows/admin/tailnet.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from support_tunnel.core.errors import WrongState
from support_tunnel.core.tailnet.passage import Passage
from support_tunnel.core.tailnet.policy import read_policy, write_policy
from support_tunnel.core.tailnet.proofs import Member

__all__ = ["with_passage", "without_device"]


def with_passage(current: str | None, passage: Passage, members: Sequence[Member] = ()) -> str:
    """Add the passage, or replace that of the same device. None is a server that never had a policy.

    Raises WrongState `tailnet.taken` where the device's name belongs to another ticket; CoordinatorError as `read_policy` does.
    """
    before = read_policy(current) if current is not None else ()
    if any(known.device == passage.device and known.ticket != passage.ticket for known in before):
        raise WrongState(
            "tailnet.taken", "another ticket has a tunnel of this name", next_step="Ask the owner for a new code."
        )
    others = [known for known in before if known.device != passage.device]
    return write_policy([*others, passage], members, passage.device)


def without_device(current: str | None, device: str, members: Sequence[Member] = ()) -> str:
    """Take away the way to this device; one that is not there is no error. Raises CoordinatorError as `read_policy` does."""
    before = read_policy(current) if current is not None else ()
    return write_policy([known for known in before if known.device != device], members, device)
