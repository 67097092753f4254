"""Open and close one tunnel's way in the policy of a Headscale server that other tools change at the same moment; none loses another's.

Headscale replaces a policy as a whole and has no compare-and-set. Its users have names that are unique, though, so a user of a fixed
name is a lock: who makes it reads, writes and looks; who cannot waits. The lock of a tool that died is broken after a lease, by the
server's own clock. A tool that was away for longer than the lease sees before it writes that the lock is no longer its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from support_tunnel.core.errors import CoordinatorError, HostError
from support_tunnel.core.ports import Clock, Coordinator
from support_tunnel.core.tailnet import Member, Passage, with_passage, without_device
from support_tunnel.core.tailnet.passage import ours
from support_tunnel.core.waiting import wait_for

__all__ = ["LEASE", "LOCK", "close_passage", "members", "open_passage"]

LOCK: Final = "support-tunnel-policy-lock"
LEASE: Final = timedelta(seconds=60)
"""Longer than the five calls under the lock take, at the patience of ten seconds each that the client has."""
_WAIT: Final = 3 * LEASE.total_seconds()
_TRIES: Final = 3
"""Against a policy that is refused because a node came or went between its making and its judging."""

Edit = Callable[[str | None, Sequence[Member]], str]


def open_passage(coordinator: Coordinator, clock: Clock, passage: Passage) -> None:
    """Let the passage's helpers in, once Headscale's own tests of the new policy passed. The same passage again is no change.

    Do it before the first node joins, and once more when all have: a policy's tests name only nodes that are there.
    Raises WrongState `tailnet.taken`; CoordinatorError `tailnet.foreign`, `tailnet.full`, `tailnet.busy`, or the server's own.
    """
    _change(coordinator, clock, lambda current, here: with_passage(current, passage, here))


def close_passage(coordinator: Coordinator, clock: Clock, device: str) -> None:
    """Take the way to this device out of the policy, and see that it is gone. Raises CoordinatorError as `open_passage` does."""
    _change(coordinator, clock, lambda current, here: without_device(current, device, here))


def members(coordinator: Coordinator) -> list[Member]:
    """The nodes of now. Raises CoordinatorError `headscale.answer` for an address that is none."""
    try:
        return [Member(ip_address(node.addresses[0]), frozenset(node.tags)) for node in coordinator.nodes()]
    except (ValueError, IndexError):
        raise CoordinatorError("headscale.answer", "the Headscale server lists a node without an address") from None


def _change(coordinator: Coordinator, clock: Clock, edit: Edit) -> None:
    deadline, refusals = clock.monotonic() + _WAIT, 0
    while clock.monotonic() < deadline:
        _wait_until_free(coordinator, clock, deadline)
        lock = _take(coordinator)
        if lock is None:
            continue
        try:
            if _written(coordinator, lock, edit):
                return
        except CoordinatorError as error:
            refusals += 1
            if error.code != "headscale.refused" or refusals == _TRIES:
                raise
        finally:
            _break(coordinator, lock)
    raise _busy()


def _written(coordinator: Coordinator, lock: str, edit: Edit) -> bool:
    """Whether the policy is as `edit` wants it; not so where somebody broke our lock meanwhile."""
    stored, here = coordinator.policy(), members(coordinator)
    if stored is None and not all(ours(member.tags) for member in here):
        raise CoordinatorError(
            "tailnet.foreign",
            "this Headscale server has nodes of others and no policy; ours would cut them off from each other",
            next_step="Use a Headscale server for support alone.",
        )
    text = edit(None if stored is None else stored.text, here)
    if stored is not None and stored.text == text:
        return True
    if all(user.id != lock for user in coordinator.users()):
        return False
    coordinator.set_policy(text)
    after = coordinator.policy()
    return after is not None and after.text == text


def _wait_until_free(coordinator: Coordinator, clock: Clock, deadline: float) -> None:
    """Wait while a tool that lives has the lock; break that of one that died."""

    def free() -> list[str] | None:
        held = [user for user in coordinator.users() if user.name == LOCK]
        if held and coordinator.now() - held[0].created < LEASE:
            return None
        return [user.id for user in held]

    left = deadline - clock.monotonic()
    try:
        dead = wait_for(free, what=LOCK, seconds=left, clock=clock, first_pause=0.1, longest_pause=2.0)
    except HostError:
        raise _busy() from None
    for lock in dead:
        _break(coordinator, lock)


def _take(coordinator: Coordinator) -> str | None:
    """Give the id of a new lock, or None where another tool was faster."""
    try:
        return coordinator.create_user(LOCK).id
    except CoordinatorError as error:
        # Unsure: it may be ours, but nothing says so; then it is broken when its lease is over.
        if error.code not in ("headscale.refused", "headscale.unsure"):
            raise
        return None


def _break(coordinator: Coordinator, lock: str) -> None:
    """By id: a lock that another tool took since is another."""
    try:
        coordinator.delete_user(lock)
    except CoordinatorError as error:
        if error.code != "headscale.absent":
            raise


def _busy() -> CoordinatorError:
    return CoordinatorError(
        "tailnet.busy",
        f"others were changing the policy of this Headscale server for {_WAIT:.0f} seconds",
        next_step=f"Try again. If nobody works on it, delete its user {LOCK}.",
    )
