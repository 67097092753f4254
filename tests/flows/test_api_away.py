"""An API that is away for many minutes while either side waits costs nobody their request, and is said once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob
from support_tunnel.testing.fake_mailbox import FakeMailbox
from tests.flows.world import World

AWAY = HostError("api.unreachable", "the API does not answer")
MINUTES = 60.0


@pytest.fixture
def goes_away(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, SupportTunnelError], None]:
    """From the moment that this slot is in the box on, nobody reads a message for eight minutes."""
    read = FakeMailbox.messages

    def goes_away(once_there: str, error: SupportTunnelError) -> None:
        began: list[float] = []

        def messages(mailbox: FakeMailbox, tunnel: TunnelId, *, after: int, wait: float) -> Sequence[Blob]:
            there = any(blob.slot == once_there for blob in world.office.boxes[tunnel].blobs)
            if there and not began:
                began.append(world.clock.monotonic())
            if began and world.clock.monotonic() < began[0] + 8 * MINUTES:
                raise error
            return read(mailbox, tunnel, after=after, wait=wait)

        monkeypatch.setattr(FakeMailbox, "messages", messages)

    return goes_away


@pytest.mark.parametrize(("slot", "sides"), [("answer", 2), ("ready", 1)])
def test_whoever_waits_goes_on_waiting(world: World, goes_away: Callable[..., None], slot: str, sides: int) -> None:
    goes_away(slot, AWAY)
    began = world.clock.monotonic()
    device, admin = world.connect()
    assert (device.error, admin.error) == (None, None)
    assert world.clock.monotonic() - began > 8 * MINUTES
    said = [note for note in world.notes.notes if "API" in note]
    assert sorted(said) == sorted(
        ["The API does not answer. This goes on when it does.", "The API answers again."] * sides
    )


def test_a_request_that_is_over_meanwhile_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def messages(*_: object, **__: object) -> Sequence[Blob]:
        raise AWAY

    monkeypatch.setattr(FakeMailbox, "messages", messages)
    device = world.turns.start(world.request)
    world.turns.run(device)
    assert isinstance(device.error, SupportTunnelError)
    assert device.error.code == "request.timeout"
    assert world.left_on_device() == []


def test_what_does_not_pass_by_itself_is_not_waited_for(world: World, goes_away: Callable[..., None]) -> None:
    goes_away("answer", UsageError("api.token", "the API does not accept this admin token"))
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert isinstance(admin.error, SupportTunnelError)
    assert admin.error.code == "api.token"
