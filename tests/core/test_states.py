"""The state machines: exactly the moves of 2.4, and stopped is final."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support_tunnel.core.errors import WrongState
from support_tunnel.core.states import ADMIN_MOVES, DEVICE_MOVES, AdminState, DeviceState, Lifecycle

CASES = [(DEVICE_MOVES, list(DeviceState)), (ADMIN_MOVES, list(AdminState))]


@pytest.mark.parametrize(("moves", "order"), CASES)
def test_one_step_forward_or_stop(moves, order) -> None:  # type: ignore[no-untyped-def]  # both tables
    for state in order:
        for to in order:
            lifecycle = Lifecycle(state, moves)
            stop = order[-1]
            if state is not stop and to in {order[order.index(state) + 1], stop}:
                lifecycle.move(to)
                assert lifecycle.state is to
            else:
                with pytest.raises(WrongState) as caught:
                    lifecycle.move(to)
                assert (caught.value.code, lifecycle.state) == ("state", state)


@given(st.lists(st.sampled_from(list(DeviceState))))
def test_nothing_revives(attempts: list[DeviceState]) -> None:
    lifecycle = Lifecycle(DeviceState.ACTIVE, DEVICE_MOVES)
    lifecycle.stop()
    for to in attempts:
        with pytest.raises(WrongState):
            lifecycle.move(to)
        lifecycle.stop()
    assert lifecycle.state is DeviceState.STOPPED
