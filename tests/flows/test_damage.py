"""What a device keeps of a session is damaged, or its names are somebody else's: refused by name, and still ended (51, 53)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.flows.device.record import load_record
from support_tunnel.flows.device.status import status
from support_tunnel.testing.records import FolderVault
from tests.flows.turns import Job
from tests.flows.world import World

TUNNEL = TunnelId("ab" * 16)
KEPT = ("tunnel", "channel")
"""What the vault has of a session, by what it is for."""
DAMAGE = {"empty": b"", "half": None, "no json": b"\xff\0", "another shape": b"[1]", "no field": b"{}"}


def job(world: World, work: Callable[[], object]) -> Job:
    started = world.turns.start(work)
    world.turns.run(started)
    return started


def damage(world: World, name: str, how: str) -> Path:
    file = Path(world.device_vault.path(world.tunnel, name))
    left = DAMAGE[how]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if left is None else left)
    return file


@pytest.fixture
def session(make_world: Callable[..., World]) -> World:
    world = make_world(policy=True)
    world.connect()
    world.turns.run(until=lambda: world.clock.monotonic() > 10)
    return world


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", KEPT)
def test_a_session_is_stopped_whatever_is_damaged(session: World, name: str, how: str) -> None:
    file = damage(session, name, how)
    stopped = job(session, session.stop_by_owner)
    assert stopped.error is None
    assert session.left_on_device() == []
    if name == "tunnel":
        assert any(str(file) in note for note in session.notes.notes)
    assert ("ended" in session.events()) is True
    assert session.mailbox_closed() is (name != "tunnel")  # the token to close it with was in there


@pytest.mark.parametrize("how", DAMAGE)
def test_clean_up_takes_a_damaged_session_for_nobodys(session: World, how: str) -> None:
    file = damage(session, "tunnel", how)
    (row,) = status(session.device_ports())
    assert (row.tunnel, row.state) == (session.tunnel, "orphaned")
    assert any(str(file) in note for note in session.notes.notes)
    assert job(session, session.clean_up).result == [session.tunnel]
    assert session.left_on_device() == []


def test_a_record_of_another_user_is_named_and_its_session_ended(
    session: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = UsageError("file.owner", "/run/x belongs to another user (uid 1000)", next_step="chown 0 /run/x")
    kept = TmpfsVault.get

    def get(self: TmpfsVault, tunnel: TunnelId, name: str) -> Secret[bytes] | None:
        if name == "tunnel":
            raise wrong
        return kept(self, tunnel, name)

    monkeypatch.setattr("support_tunnel.adapters.vault_tmpfs.TmpfsVault.get", get)
    assert job(session, session.stop_by_owner).error is None
    assert session.left_on_device() == []
    assert any("/run/x belongs to another user" in note for note in session.notes.notes)


@given(
    kept=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(["stage", "device_token", "requested", "until", "boottime_limit", "network", "other"]),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_record_is_taken_whole_or_refused_by_the_name_of_its_file(tmp_path: Path, kept: bytes) -> None:
    vault = FolderVault(tmp_path / "vault")
    vault.put(TUNNEL, "tunnel", Secret(kept))
    refused = None
    try:
        load_record(vault, TUNNEL)
    except UsageError as error:
        refused = error
    assert refused is None or vault.path(TUNNEL, "tunnel") in refused.message
    assert refused is None or refused.next_step == "End it by name: inv stop abababab"


# --- names that somebody else has (53) ------------------------------------------------------------------------------

FOREIGN = {"account", "interface", "table", "unit files"}


def test_a_request_keeps_off_names_that_others_have_and_the_next_one_has_others(
    make_world: Callable[..., World],
) -> None:
    world = make_world(policy=True)
    world.device.foreign = set(FOREIGN)
    asking = job(world, world.request)
    assert isinstance(asking.error, HostError)
    assert asking.error.code == "names.taken"
    assert all(name in asking.error.message for name in FOREIGN)
    assert (world.code, world.journal.lines, world.office.boxes) == (None, {}, {})
    assert world.left_on_device() == []
    world.device.foreign = set()
    world.connect()


def test_what_takes_a_name_while_the_owner_waits_is_left_alone(make_world: Callable[..., World]) -> None:
    """Nothing of ours is there yet, so nothing by these names is cut, undone or swept."""
    world = make_world(policy=True)
    asking = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    world.device.foreign = set(FOREIGN)
    world.device.holds[world.tunnel[:8]] = set(FOREIGN)
    world.turns.start(world.answer)
    world.turns.run(asking)
    assert isinstance(asking.error, SupportTunnelError)
    assert asking.error.code == "names.taken"
    assert world.device.holds[world.tunnel[:8]] == FOREIGN
    assert "ended" in world.events()
    assert list(world.device_vault.tunnels()) == []


def test_a_request_that_is_stopped_before_it_is_answered_touches_nothing(make_world: Callable[..., World]) -> None:
    world = make_world(policy=True)
    asking = world.turns.start(world.request)
    world.turns.run(until=lambda: world.code is not None)
    world.device.holds[world.tunnel[:8]] = set(FOREIGN)
    stopping = world.turns.start(world.stop_by_owner)
    world.turns.run(asking, stopping)
    assert world.device.holds[world.tunnel[:8]] == FOREIGN
    assert list(world.device_vault.tunnels()) == []
