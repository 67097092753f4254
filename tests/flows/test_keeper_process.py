"""The keeper's own process: an API that never answers does not lengthen a session (05, P8)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_away import AwayMailbox
from support_tunnel.cli.device.keeper import watch
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob
from support_tunnel.core.secret import Secret
from support_tunnel.flows.device.keep import TIME_OVER
from support_tunnel.flows.device.record import load_record, save_record
from tests.flows.world import World

PATIENCE = 30.0


class HangingMailbox(AwayMailbox):
    """`ports.Mailbox` of an API that takes a request and never answers it."""

    def __init__(self) -> None:
        super().__init__("it hangs")
        self.asked, self.let_go = threading.Event(), threading.Event()

    def messages(self, tunnel: TunnelId, *, after: int, wait: float) -> Sequence[Blob]:
        self.asked.set()
        self.let_go.wait(PATIENCE)
        return []


def test_a_session_ends_on_time_while_the_api_hangs(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    world.turns.end()
    clock, mailbox = SystemClock(), HangingMailbox()
    ports = replace(world.device_ports(), clock=clock, mailbox_for=lambda token, patient=True: mailbox)
    record = load_record(ports.vault, world.tunnel)
    assert record is not None
    soon = clock.now() + timedelta(seconds=1)
    save_record(ports.vault, world.tunnel, replace(record, until=soon, boottime_limit=clock.boottime() + 60))
    left = threading.Event()
    keeper = threading.Thread(target=watch, args=[ports, world.tunnel], kwargs={"leave": left.set}, daemon=True)
    keeper.start()
    assert mailbox.asked.wait(PATIENCE)
    assert left.wait(PATIENCE)
    assert keeper.is_alive()  # still waits for the API
    assert ports.vault.get(world.tunnel, "reason") == Secret(TIME_OVER.encode())
    mailbox.let_go.set()
    keeper.join(PATIENCE)
