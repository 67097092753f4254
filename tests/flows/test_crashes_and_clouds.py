"""Property P6: a tool killed at any call, a cloud that fails as it likes; once time has passed, none of our servers is left.

And somebody else's server is as it was. The ways of real clouds are in tests/adapters/test_cloud_failures.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support_tunnel.core.errors import CloudError
from support_tunnel.flows.library import Library
from support_tunnel.testing.faults import Fault, FaultWiring, raising
from tests.flows.turns import Killed
from tests.flows.world import World

DAY = 86_400.0
CODES = ("cloud.retry", "cloud.rate", "cloud.auth", "cloud.unknown", "cloud.still-there")
TROUBLES = st.lists(st.none() | st.tuples(st.sampled_from(CODES), st.booleans()), max_size=8)
"""One a call of the cloud, in order: what it answers, and whether it did it all the same. When they are used up it is well."""


class MoodyCloud:
    """The port `Cloud`, with `troubles` in front of another."""

    def __init__(self, inner: Any, troubles: list[tuple[str, bool] | None]) -> None:
        self._inner, self._troubles = inner, iter(troubles)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*given: object) -> Any:
            trouble = next(self._troubles, None)
            if trouble is None:
                return getattr(self._inner, name)(*given)
            code, done = trouble
            if done:
                getattr(self._inner, name)(*given)
            raise CloudError(code, "not today")

        return call


def fabs(world: World) -> Iterator[int]:
    """What an admin, or a timer, runs again and again: each sweep says whether something could not be removed."""
    for hour in range(24):
        world.manual.advance(DAY / 24)
        yield len(world.sweep().failed)
        assert hour < 23


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 45), after=st.booleans(), policy=st.booleans(), creating=TROUBLES, sweeping=TROUBLES)
def test_p6_whatever_crashes_and_whatever_the_cloud_does_no_server_of_ours_stays(
    make_world: Callable[..., World],
    library: Library,
    number: int,
    after: bool,
    policy: bool,
    creating: list[tuple[str, bool] | None],
    sweeping: list[tuple[str, bool] | None],
) -> None:
    world = make_world(library=library, policy=policy)
    world.owner_agrees()
    well = world.cloud
    world.cloud = MoodyCloud(well, creating)  # type: ignore[assignment]  # the same port
    wiring = FaultWiring(Fault(number, "after" if after else "before", raising(Killed()), lasting=True))
    world.turns.start(world.request)
    admin = world.turns.start(lambda: world.answer(wiring))
    world.turns.run(admin)
    world.cloud = MoodyCloud(well, sweeping)  # type: ignore[assignment]  # the same port
    assert 0 in fabs(world)
    world.sweep()
    assert well.everything() == [world.foreign]
    assert world.ledger.entries() == []
    assert world.admin_vault.tunnels() == []
    world.turns.run()
    world.clean_up()
    assert world.left_on_device() == []
    world.end()
