"""A tunnel's stay on a standing Headscale server: begin it, shorten it, end it provably, and end what others left past its time.

All of it is read from the server and judged by the server's clock, so the ending needs neither the tool that began nor its ledger. A
stay is there before the policy, the policy before a key, a key before a node; the end goes the other way, and the stay goes last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

from support_tunnel.core.errors import CoordinatorError, SupportTunnelError, WrongState
from support_tunnel.core.limits import Limits
from support_tunnel.core.ports import Clock, Coordinator, CoordinatorUser, Node
from support_tunnel.core.report import Step
from support_tunnel.core.tailnet import read_policy
from support_tunnel.core.tailnet.passage import DEVICE_TAG, Passage
from support_tunnel.core.tailnet.standing import Belongings, Seen, astray, belongings
from support_tunnel.core.tailnet.stay import Stay, read_stay
from support_tunnel.flows.tailnet import LEASE, LOCK, close_passage
from support_tunnel.flows.teardown import Teardown

__all__ = ["Reaped", "begin", "end", "leave", "look", "reap", "require_room", "require_there", "shorten"]

_Thing = TypeVar("_Thing")


@dataclass(slots=True)
class Reaped:
    """`failed` pairs a thing with the reason."""

    ended: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    reports: list[tuple[str, str, tuple[Step, ...]]] = field(default_factory=list)
    """By device and ticket, the steps of each ending."""


def look(coordinator: Coordinator) -> Seen:
    """Everything of ours on the server; of a policy that is somebody else's, that it is. Raises CoordinatorError."""
    nodes, keys = coordinator.nodes(), coordinator.join_keys()
    try:
        passages, unread = _passages(coordinator), ""
    except CoordinatorError as foreign:
        if foreign.code != "tailnet.foreign":
            raise
        passages, unread = (), foreign.message
    return Seen(nodes, keys, passages, coordinator.users(), unread)


def begin(coordinator: Coordinator, device: str, ticket: str, *, nonce: str, seconds: int, limits: Limits) -> Stay:
    """Record a stay of `seconds` from now. Raises WrongState `tunnels.full`, `tailnet.taken`; CoordinatorError.

    Judged after it is there, so that two tools at the same moment see each other: rather both are refused than one too many let in.
    """
    stay = Stay(device, ticket, nonce, _after(coordinator, seconds))
    _create(coordinator, stay.user)
    # Also those past their end: as long as they are there, so may be their helpers.
    others = {
        other.device for user in coordinator.users() if user.name != stay.user and (other := read_stay(user.name))
    }
    try:
        require_room(others, device, limits)
    except WrongState:
        _withdraw(coordinator, stay)
        raise
    return stay


def require_room(others: Collection[str], device: str, limits: Limits) -> None:
    """Raise WrongState `tailnet.taken`, `tunnels.full` where one more, `device`, has no place beside the `others`."""
    if device in others:
        raise WrongState(
            "tailnet.taken",
            "the Headscale server has this tunnel already",
            next_step="Ask the owner for a new code, or end it: see `fab tunnel.list`.",
        )
    limits.require_room(len(others), "on the Headscale server")


def shorten(coordinator: Coordinator, device: str, nonce: str, seconds: int) -> None:
    """Let the stay end in `seconds` where it would end later; the new record is there before the old one goes.

    With it goes that of a second tool, which was refused and died: it would be older than the new one, and pass for the tunnel's.
    """
    now = [stay for _, stay in _records(coordinator, device) if stay.nonce == nonce]
    if not now:
        raise _over()
    wanted = Stay(device, now[0].ticket, nonce, _after(coordinator, max(1, seconds)))
    if min(stay.end for stay in now) <= wanted.end:
        return
    _create(coordinator, wanted.user)
    old = [(user, stay) for user, stay in _records(coordinator, device) if stay != wanted]
    for user, _ in sorted(old, key=lambda pair: pair[1].nonce == nonce):  # one's own last
        _delete_user(coordinator, user)


def require_there(coordinator: Coordinator, clock: Clock, device: str, nonce: str) -> None:
    """Where somebody ended the tunnel meanwhile, end what was made since as well, and raise WrongState `tunnel.over`."""
    if any(stay.nonce == nonce for _, stay in _records(coordinator, device)):
        return
    leave(coordinator, clock, device, nonce, Teardown())
    raise _over()


def leave(coordinator: Coordinator, clock: Clock, device: str, nonce: str, ending: Teardown) -> bool:
    """As `end`, for the tool that drew `nonce`. Of a tunnel that is another's its own record goes and no more; gives whether it is."""
    theirs = False
    with suppress(CoordinatorError):  # each step looks for itself
        theirs = _seen(coordinator).anothers(device, nonce)
    if not theirs:
        end(coordinator, clock, device, ending, nonce=nonce)
        return False
    with ending.step("not ours: the tunnel on the Headscale server is somebody else's, and nothing of it was touched"):
        for user in _belongings(coordinator, device, nonce).users:
            _delete_user(coordinator, user)
    return True


def end(coordinator: Coordinator, clock: Clock, device: str, ending: Teardown, *, nonce: str | None = None) -> None:
    """End one tunnel: each step is named in `ending`, runs whatever became of the others, and is proved by looking again.

    The device's node goes first: that is what cuts an open stream. The record goes last and only if nothing else is left, so a
    reaper goes on where this could not. Whosever the tunnel is; with a `nonce` only where it is that tool's.
    """
    began = len(ending.failures)
    with ending.step("the device's node deleted") as words:
        nodes = [node for node in _belongings(coordinator, device, nonce).nodes if _is_device(node)]
        words += _each(nodes, _called, lambda node: _delete_node(coordinator, node.id))
    with ending.step("join keys expired") as words:
        keys = _belongings(coordinator, device, nonce).keys
        words.append(f"{len(_each(keys, lambda key: key.id, lambda key: _expire_key(coordinator, key.id)))}")
    with ending.step("the other nodes deleted") as words:
        nodes = list(_belongings(coordinator, device, nonce).nodes)
        words += _each(nodes, _called, lambda node: _delete_node(coordinator, node.id))
    with ending.step("the server's lists read again: no node, no key that lets in"):
        left = belongings(look(coordinator), device, coordinator.now(), nonce)
        _require_none([*(node.name for node in left.nodes), *(f"key {key.id}" for key in left.keys)])
    with ending.step("the policy lets nobody in, read back"):
        if nonce is None or not _seen(coordinator).anothers(device, nonce):
            close_passage(coordinator, clock, device)
            _require_none(passage.device for passage in _passages(coordinator) if passage.device == device)
    with ending.step("the tunnel's user deleted") as words:
        if len(ending.failures) > began:
            raise CoordinatorError("headscale.leftovers", "kept as the record of what is left", next_step=_AGAIN)
        for user in _belongings(coordinator, device, nonce).users:
            _delete_user(coordinator, user)
            words.append(user.name)


def reap(coordinator: Coordinator, clock: Clock, *, dry_run: bool = False) -> Reaped:
    """End every tunnel past its own end, and what is of no tunnel. Raises CoordinatorError before anything is done.

    A server that cannot be read whole is one where nothing is over: only what was seen is ended. With a policy of somebody else's
    that is said, tunnels past their end are cut off all the same, and their records stay.
    """
    reaped = Reaped()
    now = coordinator.now()
    seen = look(coordinator)
    if seen.unread:
        reaped.failed.append(("policy", seen.unread))
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
        *((f"join key {key.id} of no tunnel", partial(_expire_key, coordinator, key.id)) for key in lost.keys),
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


def _over() -> WrongState:
    return WrongState("tunnel.over", "this tunnel was ended on the Headscale server", next_step="Ask for a new code.")


def _belongings(coordinator: Coordinator, device: str, nonce: str | None) -> Belongings:
    return belongings(_seen(coordinator), device, coordinator.now(), nonce)


def _seen(coordinator: Coordinator) -> Seen:
    """A policy that cannot be read keeps no device connected; the steps that read it back say what is wrong with it."""
    nodes, keys = coordinator.nodes(), coordinator.join_keys()
    passages, unread = tuple[Passage, ...](), ""
    try:
        passages = _passages(coordinator)
    except CoordinatorError as trouble:
        unread = trouble.message
    return Seen(nodes, keys, passages, coordinator.users(), unread)


def _records(coordinator: Coordinator, device: str) -> list[tuple[CoordinatorUser, Stay]]:
    return [(user, stay) for user in coordinator.users() if (stay := read_stay(user.name)) and stay.device == device]


def _each(things: Iterable[_Thing], called: Callable[[_Thing], str], done: Callable[[_Thing], None]) -> list[str]:
    """All of them, also after one that failed; give their names. Raises the first's CoordinatorError, once all were tried."""
    names: list[str] = []
    trouble: list[CoordinatorError] = []
    for thing in things:
        try:
            done(thing)
            names.append(called(thing))
        except CoordinatorError as error:
            trouble.append(error)
    if trouble:
        raise trouble[0]
    return names


def _is_device(node: Node) -> bool:
    return any(DEVICE_TAG.fullmatch(tag) for tag in node.tags)


def _called(node: Node) -> str:
    return f"{node.name} ({node.id})"


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
    _unless_absent(coordinator.delete_user, user.id)


def _expire_key(coordinator: Coordinator, key: str) -> None:
    _unless_absent(coordinator.expire_join_key, key)


def _delete_node(coordinator: Coordinator, node: str) -> None:
    _unless_absent(coordinator.delete_node, node)


def _unless_absent(done: Callable[[str], object], thing: str) -> None:
    try:
        done(thing)
    except CoordinatorError as error:
        if error.code != "headscale.absent":  # another reaper, or it was ephemeral and left
            raise


def _require_none(left: Iterable[str]) -> None:
    if found := list(left):
        raise CoordinatorError(
            "headscale.leftovers", f"the Headscale server still lists {', '.join(found)}", next_step=_AGAIN
        )
