"""A device and an admin whose releases speak different versions: both end cleanly, and each hears which side has to upgrade."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support_tunnel.core.errors import MessageError
from support_tunnel.core.st1 import payloads
from support_tunnel.core.st1.admin import AdminOffer
from support_tunnel.core.st1.device import DeviceOffer
from tests.flows.world import World


def as_newer(monkeypatch: pytest.MonkeyPatch, owner: type, *names: str) -> None:
    """Let what one side does in these methods be done by a release that speaks version 3 alone; the other side stays as it is."""
    for name in names:
        before = owner.__dict__[name]
        inner = before.__func__ if isinstance(before, classmethod) else before

        def newer(*args: Any, inner: Callable[..., Any] = inner, **given: Any) -> Any:
            with pytest.MonkeyPatch.context() as only_here:
                for constant in ("PLAIN", "NEWEST"):
                    only_here.setattr(payloads, constant, 3)
                return inner(*args, **given)

        monkeypatch.setattr(owner, name, classmethod(newer) if isinstance(before, classmethod) else newer)


def test_an_admin_refuses_a_newer_device_before_a_server_is_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    as_newer(monkeypatch, DeviceOffer, "make")
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert isinstance(admin.error, MessageError)
    assert admin.error.code == "msg.version"
    assert "this machine" in admin.error.next_step
    assert world.cloud.everything() == [world.foreign]
    assert world.prompt.asked == []
    assert world.left() == []


@pytest.mark.parametrize("side", ["newer admin", "newer device"])
def test_a_device_refuses_an_answer_of_another_version_and_asks_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    if side == "newer admin":
        as_newer(monkeypatch, AdminOffer, "answer")
    else:
        as_newer(monkeypatch, DeviceOffer, "open_answer")
    device, admin = world.turns.start(world.request), world.turns.start(world.answer)
    world.turns.run(device, admin)
    assert isinstance(device.error, MessageError)
    assert device.error.code == "msg.version"
    assert ("this device" if side == "newer admin" else "Your helper") in device.error.next_step
    assert world.prompt.asked == []
    assert "opened" not in world.events()
    assert world.left() == []
