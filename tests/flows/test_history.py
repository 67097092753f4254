"""The lists of tunnels: what each has come to, in the numbers that programs know, and nothing secret."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from invoke.exceptions import Exit

from support_tunnel.cli.device import lists as device_lists
from support_tunnel.cli.device import tasks as device_tasks
from support_tunnel.cli.device import wiring as wiring_device
from support_tunnel.core.errors import ConsentRefused
from support_tunnel.core.states import Number
from support_tunnel.flows.device.history import TunnelHistory, history
from support_tunnel.flows.device.record import load_channel, load_record
from tests.flows.turns import Job
from tests.flows.world import PATIENCE, TTL, World


def only(world: World) -> TunnelHistory:
    (row,) = history(world.device_ports())
    return row


def asking(world: World) -> Job:
    job = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    return job


def test_a_request_is_pending_and_times_out(world: World) -> None:
    job = asking(world)
    assert (only(world).number, only(world).live) == (Number.PENDING, True)
    world.turns.run(job)
    assert isinstance(job.error, ConsentRefused)
    row = only(world)
    assert (row.number, row.live, row.state) == (Number.TIMEDOUT, False, "timedout")
    ended, requested = row.when("ended"), row.when("requested")
    assert ended is not None
    assert requested is not None
    assert (ended - requested).total_seconds() == pytest.approx(PATIENCE, abs=1)


def test_each_step_has_its_number_and_none_is_lower_than_the_one_before(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    seen: list[int] = []
    real = world.device.run_script

    def looks(script: object, *, timeout: float) -> object:
        if world.device_vault.tunnels() and "look" not in busy:
            busy.add("look")
            seen.append(only(world).number)
            busy.clear()
        return real(script, timeout=timeout)  # type: ignore[arg-type]  # a Secret

    busy: set[str] = set()
    world.device.run_script = looks  # type: ignore[method-assign,assignment]  # watched, not changed
    world.connect()
    world.device.run_script = real  # type: ignore[method-assign]  # as it was
    seen.append(only(world).number)
    assert seen == sorted(seen)
    assert {Number.RUNNING, Number.CONNECTED} <= set(seen)


@pytest.mark.parametrize("by_owner", [True, False])
def test_an_ended_one_is_completed_or_timed_out(make_world: Callable[..., World], by_owner: bool) -> None:
    world = make_world(policy=True)
    world.connect()
    if by_owner:
        world.stop_by_owner()
    else:
        stop = world.clock.monotonic() + TTL + 60
        world.turns.run(until=lambda: world.clock.monotonic() >= stop)
    assert only(world).number == (Number.COMPLETED if by_owner else Number.TIMEDOUT)
    assert only(world).tunnel == world.tunnel


def test_one_that_nobody_watches_is_orphaned_and_after_a_power_cut_it_is_over(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    world.connect()
    world.device.on_keeper_end = lambda short: None
    world.device.keeper_dies(world.tunnel[:8])
    assert (only(world).state, only(world).number) == ("orphaned", Number.CONNECTED)
    world.device.holds.clear()
    world.device_vault.erase(world.tunnel)
    assert (only(world).state, only(world).live) == ("completed", False)


def test_what_only_carries_a_name_is_listed_by_its_digits(world: World) -> None:
    world.device.holds = {"a" * 8: {"account"}}
    row = only(world)
    assert (row.tunnel, row.state, row.log_broken) == ("a" * 8, "orphaned", "log.missing")


@pytest.fixture
def session(make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    world = make_world(policy=True)
    world.connect()
    monkeypatch.setattr(wiring_device, "ending_ports", world.device_ports)
    return world


def test_the_lists_as_text_and_as_json(session: World, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"tunnel_id": session.tunnel, "state": "connected", "number": 40}
    for verb in (device_lists.list_all_tunnels, device_lists.list_running_tunnels):
        verb.body(None, json=True)
        assert json.loads(capsys.readouterr().out) == [row]
    device_lists.list_all_tunnels.body(None)
    device_lists.list_running_tunnels.body(None)
    assert capsys.readouterr().out == f"{session.tunnel}\n{session.tunnel} connected\n"
    session.stop_by_owner()
    device_lists.list_running_tunnels.body(None)
    assert capsys.readouterr().out == ""


def test_status_says_which_limits_hold(session: World, capsys: pytest.CaptureFixture[str]) -> None:
    device_tasks.status.body(None, json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["limits"]) == ("active", ["processes", "file-size"])


def test_the_details_say_who_logged_in(session: World, capsys: pytest.CaptureFixture[str]) -> None:
    session.device.logins = [f"fd00::1 ED25519 SHA256:{'A' * 43}"]
    session.stop_by_owner()
    device_lists.detail_all_tunnels.body(None)
    (row,) = json.loads(capsys.readouterr().out)
    (login,) = row["logins"]
    assert login.pop("noted").startswith("20")
    assert login == {"who": "Ann", "fingerprint": f"SHA256:{'A' * 43}", "from": "fd00::1"}


def test_the_details_hold_what_happened_and_no_secret(session: World, capsys: pytest.CaptureFixture[str]) -> None:
    record, channel = (
        load_record(session.device_vault, session.tunnel),
        load_channel(session.device_vault, session.tunnel),
    )
    assert record is not None
    assert channel is not None
    session.stop_by_owner()
    device_lists.detail_all_tunnels.body(None)
    printed = capsys.readouterr().out
    (row,) = json.loads(printed)
    assert (row["admin"], row["consent"], row["scope"], row["ttl"]) == ("Ann", "policy", "shell", TTL)
    assert (row["user"], row["reason"]) == (f"st{session.tunnel[:8]}", "the owner ended it")
    assert row["log"] == {"lines": 4, "holds": True, "problem": None}
    assert session.code is not None
    secrets = [record.device_token.reveal(), session.code.text().reveal(), channel.dump().reveal().decode()]
    assert [secret for secret in secrets if secret in printed] == []


def test_stop_ends_the_one_that_is_named_and_no_other(session: World, capsys: pytest.CaptureFixture[str]) -> None:
    session.device.holds["b" * 8] = {"account"}
    device_tasks.stop.body(None, tunnel="b" * 8)
    assert session.device.traces() == [session.tunnel[:8]]
    device_tasks.stop.body(None, tunnel=session.tunnel.upper(), json=True)
    assert session.left_on_device() == []
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"stopped": [session.tunnel]}


@pytest.mark.parametrize(
    ("given", "code"), [("b" * 8, "tunnel.unknown"), ("abc", "tunnel.id"), ("../../x/../", "tunnel.id")]
)
def test_stop_refuses_a_name_that_is_none(
    session: World, capsys: pytest.CaptureFixture[str], given: str, code: str
) -> None:
    with pytest.raises(Exit):
        device_tasks.stop.body(None, tunnel=given)
    assert f"Error ({code})" in capsys.readouterr().err
    assert session.device.traces() == [session.tunnel[:8]]
