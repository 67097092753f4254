"""Who logs in stands in the session's log, by the key that was used: of several who may come, it says who came."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from support_tunnel.core.errors import HostError
from support_tunnel.desired import probes
from support_tunnel.flows.device import note_logins
from support_tunnel.flows.library import Library
from tests.flows.test_keep import pass_time, running
from tests.flows.test_shared_network import BEA, CEM, answers
from tests.flows.world import World

__all__ = ["answers"]

PLACE = "fd7a:115c:a1e0::9"
ADMIN = "SHA256:" + "A" * 43


def logins(world: World) -> list[dict[str, str]]:
    told = [json.loads(line) for line in world.journal.lines[world.tunnel]]
    return [data for event, data in told if event == "logged-in"]


@pytest.fixture
def session(make_world: Callable[..., World], library: Library, answers: Any) -> World:
    world = make_world(library=library, transports=("headscale",), policy=True)
    answers(helpers=(BEA, CEM))
    world.owner_says(lambda _: world.digits, "yes")
    world.connect()
    return world


def test_the_admin_and_a_helper_are_told_apart_by_their_keys(session: World) -> None:
    session.device.logins = [f"{PLACE} ED25519 {BEA.fingerprint}", f"fd7a:115c:a1e0::1 ED25519 {ADMIN}"]
    pass_time(session, 40)
    assert logins(session) == [
        {"who": "Bea Öz", "fingerprint": BEA.fingerprint, "from": PLACE},
        {"who": "Ann", "fingerprint": ADMIN, "from": "fd7a:115c:a1e0::1"},
    ]


def test_one_key_is_noted_once_for_each_place(session: World) -> None:
    session.device.logins = [f"{PLACE} ED25519 {BEA.fingerprint}"]
    pass_time(session, 200)
    assert len(logins(session)) == 1
    session.device.logins.append(f"fd7a:115c:a1e0::8 ED25519 {BEA.fingerprint}")
    pass_time(session, 40)
    assert [login["from"] for login in logins(session)] == [PLACE, "fd7a:115c:a1e0::8"]


def test_a_certificate_names_its_holder_itself(session: World) -> None:
    vouched = f"(serial 7) CA ED25519 SHA256:{'C' * 43}"
    session.device.logins = [
        f"{PLACE} ED25519-CERT {ADMIN} ID st:1a2b3c4d:Ada:T (serial 1) {vouched}",
        f"{PLACE} ED25519-CERT {CEM.fingerprint} ID cem {vouched}",
    ]
    pass_time(session, 40)
    ada, cem = logins(session)
    assert ada == {"fingerprint": ADMIN, "from": PLACE, "key_id": "st:1a2b3c4d:Ada:T (serial 1)"}
    assert (cem["who"], cem["key_id"]) == ("Cem", "cem")


def test_the_sign_of_life_after_it_carries_it(session: World) -> None:
    """So that the helper's side holds the device to what its log says."""
    session.device.logins = [f"{PLACE} ED25519 {BEA.fingerprint}"]
    before = session.journal.head(session.tunnel)
    pass_time(session, 40)
    assert session.journal.head(session.tunnel) != before
    assert session.events()[-1] == "logged-in"
    assert [blob.slot for blob in session.office.boxes[session.tunnel].blobs][-1] == "control-device"


def test_who_came_in_the_last_seconds_is_noted_before_the_end(session: World) -> None:
    session.device.logins = [f"{PLACE} ED25519 {BEA.fingerprint}"]
    session.stop_by_owner()
    assert session.events()[-2:] == ["logged-in", "ended"]
    assert session.left_on_device() == []


@pytest.mark.parametrize("line", ["", "x", f"{PLACE} ED25519 MD5:00", f"{PLACE} ED25519 {ADMIN} and more"])
def test_what_sshd_does_not_say_is_not_noted(session: World, line: str) -> None:
    session.device.logins = [line]
    pass_time(session, 40)
    assert logins(session) == []
    assert running(session)


def test_a_host_that_cannot_tell_ends_nobodys_session(session: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise HostError("host.timeout", "no answer")

    monkeypatch.setattr(note_logins, "probes", SimpleNamespace(logins=probes.logins, read=fails))
    pass_time(session, 100)
    assert running(session)
    session.stop_by_owner()
    assert session.left_on_device() == []


def test_a_login_that_cannot_be_noted_ends_the_session(session: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No session without its log (05, test 50)."""

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session.journal, "append", full)
    session.device.logins = [f"{PLACE} ED25519 {BEA.fingerprint}"]
    pass_time(session, 40)
    assert not running(session)
    assert session.left_on_device() == []
