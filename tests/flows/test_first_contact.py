"""A server that does not come as it should (05-threats 45): it is ended, nobody's word is taken for it, and its console is read out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from support_tunnel.core.errors import CloudError, HostError, SupportTunnelError, UsageError
from support_tunnel.testing.hosts import FakeServerShell
from tests.flows.hosts import CloudConnector
from tests.flows.turns import Job
from tests.flows.world import World

CONSOLE = ["cloud-init: Failed to fetch", "Reached target multi-user"]


class Absent(CloudConnector):
    """Nothing that could be taken for our server answers at the first contact."""

    def __init__(self, world: World, code: str) -> None:
        super().__init__(world.server, world.cloud)
        self._world, self._code = world, code
        self.waited: list[float] = []

    def connect(self, address: str, **login: Any) -> FakeServerShell:
        self.waited.append(login["timeout"])
        self._world.clock.pause(login["timeout"])
        raise HostError(self._code, "not ours")


def answered(world: World, code: str) -> tuple[Job, Absent]:
    device = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    absent = Absent(world, code)
    ports = world.admin_ports(connector=absent)
    world.admin_ports = lambda *_, **__: ports  # type: ignore[method-assign]  # of this world alone
    admin = world.turns.start(world.answer)
    world.turns.run(device, admin)
    return admin, absent


@pytest.mark.parametrize("code", ["ssh.unreachable", "ssh.hostkey"], ids=["no answer", "another key"])
def test_45_the_console_says_why_and_the_server_goes(world: World, code: str) -> None:
    world.cloud.written = CONSOLE
    admin, absent = answered(world, code)
    assert isinstance(admin.error, HostError)
    assert admin.error.code == code
    assert absent.waited == [180.0], "for as long as its cloud takes to boot, and once"
    assert [note for note in world.notes.notes if "console" in note] == [
        f"On the server's console: {line}" for line in CONSOLE
    ]
    assert world.left_on_admin() == []
    assert world.server.scripts == [], "nothing was sent to whoever it was"
    assert "answer" not in {blob.slot for blob in world.office.boxes[world.tunnel].blobs}


@pytest.mark.parametrize(
    "trouble", [CloudError("cloud.auth", "no"), HostError("process.failed", "no"), UsageError("secret.source", "no")]
)
def test_45_a_console_that_cannot_be_read_is_no_further_trouble(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: SupportTunnelError
) -> None:
    def refused(_: str) -> Sequence[str]:
        raise trouble

    monkeypatch.setattr(world.cloud, "console", refused)
    admin, _ = answered(world, "ssh.unreachable")
    assert isinstance(admin.error, HostError)
    assert admin.error.code == "ssh.unreachable"
    assert world.left_on_admin() == []
