"""A tunnel's stay on a standing Headscale server: begin it, shorten it, end it provably, and end what others left past its time.

All of it is read from the server and judged by the server's clock, so the ending needs neither the tool that began nor its ledger. A
stay is there before the policy, the policy before a key, a key before a node; the end goes the other way, and the stay goes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from support_tunnel.core.errors import CoordinatorError, SupportTunnelError, WrongState
from support_tunnel.core.limits import Limits
from support_tunnel.core.ports import Clock, Coordinator, CoordinatorUser
from support_tunnel.core.report import Step
from support_tunnel.core.tailnet import read_policy
from support_tunnel.core.tailnet.passage import Passage
from support_tunnel.core.tailnet.standing import Belongings, Seen, astray, belongings
from support_tunnel.core.tailnet.stay import Stay, read_stay
from support_tunnel.flows.tailnet import LEASE, LOCK, close_passage
from support_tunnel.flows.teardown import Teardown

__all__ = ["Reaped", "begin", "end", "look", "reap", "shorten"]


@dataclass(slots=True)
class Reaped:
    """`failed` pairs a thing with the reason."""

    ended: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    reports: list[tuple[str, str, tuple[Step, ...]]] = field(default_factory=list)
    """By device and ticket, the steps of each ending."""


def look(coordinator: Coordinator) -> Seen:
    """Everything of ours on the server. Raises CoordinatorError, also `tailnet.foreign`."""
    nodes, keys = coordinator.nodes(), coordinator.join_keys()
    return Seen(nodes, keys, _passages(coordinator), coordinator.users())


def begin(coordinator: Coordinator, device: str, ticket: str, *, seconds: int, limits: Limits) -> Stay:
    """Record a stay of `seconds` from now. Raises WrongState `tunnels.full`, `tailnet.taken`; CoordinatorError.

    Judged after it is there, so that two tools at the same moment see each other: rather both are refused than one too many let in.
    """
    stay = Stay(device, ticket, _after(coordinator, seconds))
    _create(coordinator, stay.user)
    # Also those past their end: as long as they are there, so may be their helpers.
    others = {
        other.device for user in coordinator.users() if user.name != stay.user and (other := read_stay(user.name))
    }
    if device in others:
        _withdraw(coordinator, stay)
        raise WrongState(
            "tailnet.taken",
            "the Headscale server has this tunnel already",
            next_step="Ask the owner for a new code, or end it: see `fab tunnel.list`.",
        )
    try:
        limits.require_room(len(others), "on the Headscale server")
    except WrongState:
        _withdraw(coordinator, stay)
        raise
    return stay


def shorten(coordinator: Coordinator, device: str, seconds: int) -> None:
    """Let the stay end in `seconds` where it would end later; the new record is there before the old one goes."""
    now = [(user, stay) for user in coordinator.users() if (stay := read_stay(user.name)) and stay.device == device]
    if not now:
        raise WrongState(
            "tunnel.over", "this tunnel was ended on the Headscale server", next_step="Ask for a new code."
        )
    wanted = Stay(device, now[0][1].ticket, _after(coordinator, max(1, seconds)))
    if min(stay.end for _, stay in now) <= wanted.end:
        return
    _create(coordinator, wanted.user)
    for user, _ in now:
        _delete_user(coordinator, user)


def end(coordinator: Coordinator, clock: Clock, device: str, ending: Teardown) -> None:
    """End one tunnel: each step is named in `ending`, runs whatever became of the others, and is proved by looking again.

    The device's node goes first: that is what cuts an open stream. The record goes last and only if nothing else is left, so a
    reaper goes on where this could not.
    """
    began = len(ending.failures)
    with ending.step("join keys expired") as words:
        expired = _belongings(coordinator, device).keys
        for key in expired:
            coordinator.expire_join_key(key.id)
        words.append(f"{len(expired)}")
    with ending.step("nodes deleted, the device's first") as words:
        trouble: list[CoordinatorError] = []
        for node in _belongings(coordinator, device).nodes:
            try:
                _delete_node(coordinator, node.id)
                words.append(f"{node.name} ({node.id})")
            except CoordinatorError as error:
                trouble.append(error)
        if trouble:
            raise trouble[0]
    with ending.step("the server's lists read again: no node, no key that lets in") as words:
        left = _belongings(coordinator, device)
        _require_none([*(node.name for node in left.nodes), *(f"key {key.id}" for key in left.keys)])
    with ending.step("the policy lets nobody in, read back"):
        close_passage(coordinator, clock, device)
        _require_none(passage.device for passage in _passages(coordinator) if passage.device == device)
    with ending.step("the tunnel's user deleted") as words:
        if len(ending.failures) > began:
            raise CoordinatorError("headscale.leftovers", "kept as the record of what is left", next_step=_AGAIN)
        for user in _belongings(coordinator, device).users:
            _delete_user(coordinator, user)
            words.append(user.name)


def reap(coordinator: Coordinator, clock: Clock, *, dry_run: bool = False) -> Reaped:
    """End every tunnel past its own end, and what is of no tunnel. Raises CoordinatorError before anything is done.

    A server that cannot be read whole is one where nothing is over: only what was seen is ended.
    """
    reaped = Reaped()
    now = coordinator.now()
    seen = look(coordinator)
    for stay in seen.over(now):
        label = f"tunnel {stay.device} on the Headscale server (ticket {stay.ticket}, over since {stay.until:%Y-%m-%d %H:%M} UTC)"
        if not dry_run:
            ending = Teardown()
            end(coordinator, clock, stay.device, ending)
            reaped.reports.append((stay.device, stay.ticket, tuple(ending.steps)))
            if ending.failures:
                reaped.failed.append((label, "; ".join(str(step) for step in ending.steps if not step.done)))
                continue
        reaped.ended.append(label)
    lost = astray(seen if dry_run else look(coordinator), now)
    _tidy(coordinator, clock, lost, reaped, dry_run=dry_run)
    for lock in [user for user in seen.users if user.name == LOCK and now - user.created >= LEASE]:
        if not dry_run:
            _delete_user(coordinator, lock)
        reaped.ended.append("a dead tool's lock of the policy")
    return reaped


_AGAIN = "Run `fab sweep`."


def _tidy(coordinator: Coordinator, clock: Clock, lost: Belongings, reaped: Reaped, *, dry_run: bool) -> None:
    todo: list[tuple[str, Callable[[], None]]] = [
        *((f"join key {key.id} of no tunnel", partial(coordinator.expire_join_key, key.id)) for key in lost.keys),
        *((f"node {node.name} of no tunnel", partial(_delete_node, coordinator, node.id)) for node in lost.nodes),
        *(
            (f"policy rule of {way.device}", partial(close_passage, coordinator, clock, way.device))
            for way in lost.passages
        ),
    ]
    for label, ended in todo:
        try:
            if not dry_run:
                ended()
            reaped.ended.append(label)
        except SupportTunnelError as error:
            reaped.failed.append((label, error.message))


def _belongings(coordinator: Coordinator, device: str) -> Belongings:
    """A policy that is not ours keeps no node from being deleted; the step of the policy says what is wrong with it."""
    nodes, keys = coordinator.nodes(), coordinator.join_keys()
    passages: tuple[Passage, ...] = ()
    with suppress(CoordinatorError):
        passages = _passages(coordinator)
    return belongings(Seen(nodes, keys, passages, coordinator.users()), device, coordinator.now())


def _passages(coordinator: Coordinator) -> tuple[Passage, ...]:
    stored = coordinator.policy()
    return () if stored is None else read_policy(stored.text)


def _after(coordinator: Coordinator, seconds: int) -> int:
    return int((coordinator.now() + timedelta(seconds=seconds)).timestamp())


def _create(coordinator: Coordinator, name: str) -> None:
    try:
        coordinator.create_user(name)
    except CoordinatorError as error:
        if error.code != "headscale.unsure" or all(user.name != name for user in coordinator.users()):
            raise


def _withdraw(coordinator: Coordinator, stay: Stay) -> None:
    for user in coordinator.users():
        if user.name == stay.user:
            _delete_user(coordinator, user)


def _delete_user(coordinator: Coordinator, user: CoordinatorUser) -> None:
    try:
        coordinator.delete_user(user.id)
    except CoordinatorError as error:
        if error.code != "headscale.absent":
            raise


def _delete_node(coordinator: Coordinator, node: str) -> None:
    try:
        coordinator.delete_node(node)
    except CoordinatorError as error:
        if error.code != "headscale.absent":  # another reaper, or it was ephemeral and left
            raise


def _require_none(left: Iterable[str]) -> None:
    if found := list(left):
        raise CoordinatorError(
            "headscale.leftovers", f"the Headscale server still lists {', '.join(found)}", next_step=_AGAIN
        )
