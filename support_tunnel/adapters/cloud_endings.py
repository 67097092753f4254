"""End many things of one cloud, servers or firewalls, and prove each of them gone by lists that show all.

The list of an account is pages long, so it is asked for once a round, not once a thing. What could not be begun, is still listed
or could not be looked for is named with its reason; only a list without it proves a thing gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.ports import Clock
from support_tunnel.core.waiting import wait_for

__all__ = ["Hands", "Troubles", "end_all", "hands"]

T = TypeVar("T")

Troubles = dict[str, SupportTunnelError]
"""By id, why a thing could not be proved gone."""
Hands = ThreadPoolExecutor | None
"""What works on several things at a time; None: one after another."""

_HANDS: Final = 8
"""Calls to one cloud at the same time: what takes a fifth of a second each is then 40 a second, about what providers allow."""


@contextmanager
def hands(things: int) -> Iterator[Hands]:
    """Threads for so many things, none for one: each thread makes a driver of its own, and keeps it while this lasts."""
    if things < 2:
        yield None
    else:
        with ThreadPoolExecutor(min(things, _HANDS)) as pool:
            yield pool


def end_all(
    things: Mapping[str, T],
    *,
    begin: Callable[[T], bool],
    listed: Callable[[], Mapping[str, T]],
    late: Callable[[str], SupportTunnelError],
    seconds: float,
    clock: Clock,
    pool: Hands,
) -> Troubles:
    """Begin the end of each, then list until none is left, for so many seconds after all are begun.

    `begin` says whether it is to be asked again for what is still listed, as it is listed then; what it and `listed` raise is the
    trouble of the things that it is about. `late` makes the trouble of what is listed to the last.
    """
    troubles: Troubles = {}
    left = dict(things)
    again: set[str] = set()

    def begun(name: str) -> bool | SupportTunnelError:
        try:
            return begin(left[name])
        except SupportTunnelError as error:
            return error

    def begin_each(names: list[str]) -> None:
        again.clear()
        for name, said in zip(names, list((pool.map if pool else map)(begun, names)), strict=True):
            if isinstance(said, SupportTunnelError):
                troubles[name] = said
                del left[name]
            elif said:
                again.add(name)

    def none_left() -> bool | None:
        nonlocal left
        if left:
            there = listed()
            left = {name: there[name] for name in left if name in there}
            begin_each([name for name in left if name in again])
        return None if left else True

    begin_each(list(things))
    try:
        wait_for(none_left, what="their end", seconds=seconds, clock=clock, longest_pause=5)
    except HostError as error:
        for name in left:
            troubles[name] = late(name)
            troubles[name].__cause__ = error
    except SupportTunnelError as error:
        troubles.update(dict.fromkeys(left, error))
    return troubles
