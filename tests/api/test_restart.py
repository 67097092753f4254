"""The API goes away and comes back, with its store or without, or with a wrong clock: clients go on, nothing is taken over (34, 36)."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.tokens import create_token
from support_tunnel.core.errors import HostError, SupportTunnelError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock

Face = Callable[..., HttpMailbox]


@pytest.fixture
def tunnel() -> TunnelId:
    return TunnelId(secrets.token_hex(16))


@pytest.fixture
def face() -> Iterator[Face]:
    with ExitStack() as ends:

        def make(api: RunningApi, patience: float = 60, **credentials: Any) -> HttpMailbox:
            made = HttpMailbox(
                api.url, clock=SystemClock(), fingerprint=api.fingerprint, patience=patience, **credentials
            )
            return ends.enter_context(made)

        yield make


def port(api: RunningApi) -> int:
    return int(api.url.rpartition(":")[2])


def test_a_session_outlives_a_restart(
    run_api: Callable[..., RunningApi], face: Face, tunnel: TunnelId, clock: ManualClock
) -> None:
    claim = Secret(secrets.token_bytes(32))
    first = run_api()
    token = create_token(first.store, name="Ann", clock=clock)
    device, admin = face(first), face(first, admin_token=token, claim=claim)
    device.open(tunnel, b"offer", claim=claim, ttl=600)
    admin.post(tunnel, "answer", b"m2")
    read: list[Blob] = []
    reader = threading.Thread(target=lambda: read.extend(device.messages(tunnel, after=2, wait=20)))
    reader.start()
    first.stop()
    posted = threading.Thread(target=lambda: admin.post(tunnel, "control-admin", b"ping"))
    posted.start()  # while nobody is there
    run_api(port=port(first))
    posted.join()
    reader.join()
    assert read in ([], [Blob(3, "control-admin", b"ping")])  # sent home empty-handed at the stop, or waited on
    assert [blob.number for blob in device.messages(tunnel, after=0, wait=0)] == [1, 2, 3]


def test_a_lost_store_is_an_empty_one_and_takes_new_tunnels(
    run_api: Callable[..., RunningApi], face: Face, tunnel: TunnelId, tmp_path: Path, clock: ManualClock
) -> None:
    claim = Secret(secrets.token_bytes(32))
    first = run_api()
    token = create_token(first.store, name="Ann", clock=clock)
    device, admin = face(first), face(first, admin_token=token, claim=claim)
    device.open(tunnel, b"offer", claim=claim, ttl=600)
    first.stop()
    for file in (tmp_path / "api").glob("mailbox.sqlite*"):
        file.unlink()
    second = run_api(port=port(first))

    def code_of(call: Callable[[], object]) -> str:
        with pytest.raises(SupportTunnelError) as refused:
            call()
        return refused.value.code

    # Neither a token nor a tunnel of before is known; nobody is let in by mistake.
    assert code_of(lambda: admin.messages(tunnel, after=0, wait=0)) == "api.token"
    assert code_of(lambda: device.post(tunnel, "confirm", b"m3")) in ("api.token", "tunnel.unknown")
    assert list(second.store.tokens()) == []
    assert list(second.store.open_tunnels(clock.now())) == []
    device.open(tunnel, b"offer", claim=claim, ttl=600)
    assert [blob.number for blob in device.messages(tunnel, after=0, wait=0)] == [1]


def test_a_store_taken_away_while_it_runs_keeps_what_it_has_until_the_restart(
    run_api: Callable[..., RunningApi], face: Face, tunnel: TunnelId, tmp_path: Path
) -> None:
    first = run_api()
    device = face(first)
    device.open(tunnel, b"offer", claim=Secret(bytes(32)), ttl=600)
    for file in (tmp_path / "api").glob("mailbox.sqlite*"):
        file.unlink()
    try:
        device.post(tunnel, "confirm", b"m3")
    except HostError as error:  # 503: what cannot be stored is not acknowledged
        assert error.code == "api.unavailable"  # noqa: PT017 - either way is right, a third is not
    first.stop()
    second = run_api(port=port(first))
    assert second.store.count(ManualClock().now()).open == 0


@pytest.mark.parametrize("clock", [ManualClock(ManualClock().now() + timedelta(days=days)) for days in (1, -1)])
def test_a_wrong_clock_of_the_api_moves_no_end_but_its_own(
    run_api: Callable[..., RunningApi], face: Face, tunnel: TunnelId, clock: ManualClock
) -> None:
    claim = Secret(secrets.token_bytes(32))
    api = run_api()
    token = create_token(api.store, name="Ann", clock=clock)
    device, admin = face(api), face(api, admin_token=token, claim=claim)
    device.open(tunnel, b"offer", claim=claim, ttl=600)
    admin.post(tunnel, "answer", b"m2")
    # What reaches the device is the sealed bytes and a number: no time of the API's, so none it could take for its own.
    assert list(device.messages(tunnel, after=0, wait=0)) == [Blob(1, "offer", b"offer"), Blob(2, "answer", b"m2")]
    clock.advance(599)
    assert len(device.messages(tunnel, after=0, wait=0)) == 2
    clock.advance(1)
    with pytest.raises(SupportTunnelError):
        device.messages(tunnel, after=0, wait=0)
