"""The same cases over the fake and over the real API, with either store, through TLS, pin and client: what passes here may be
believed of all three.

Over 300 lines: one suite in one place, so that no case can run over one of them only.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol

import pytest

from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.api.serve import RunningApi
from support_tunnel.api.tokens import create_token
from support_tunnel.core.errors import SupportTunnelError, UsageError, WrongState
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Blob, Mailbox, Slot
from support_tunnel.core.secret import Secret
from support_tunnel.testing.clock import ManualClock
from support_tunnel.testing.fake_mailbox import FakePostOffice

LONG = 20.0
"""A wait no passing test sits out."""


class DeviceFace(Mailbox, Protocol):
    device_token: Secret[str]


class Office(Protocol):
    def device(self, token: Secret[str] | None = None) -> DeviceFace: ...

    def admin(
        self, name: str = "admin", *, claim: Secret[bytes] | None = None, rights: Iterable[str] = ("answer", "list")
    ) -> Mailbox: ...


class HttpOffice:
    """Faces of a running API; makes each admin's token on its host, as an operator would."""

    def __init__(self, api: RunningApi, clock: ManualClock, ends: ExitStack) -> None:
        self._api = api
        self._clock = clock
        self._ends = ends
        self._tokens: dict[str, Secret[str]] = {}

    def device(self, token: Secret[str] | None = None) -> HttpMailbox:
        return self._face(device_token=token)

    def admin(
        self, name: str = "admin", *, claim: Secret[bytes] | None = None, rights: Iterable[str] = ("answer", "list")
    ) -> HttpMailbox:
        if name not in self._tokens:
            self._tokens[name] = create_token(self._api.store, name=name, rights=rights, clock=self._clock)
        return self._face(admin_token=self._tokens[name], claim=claim)

    def _face(self, **credentials: Any) -> HttpMailbox:
        face = HttpMailbox(
            self._api.url, clock=SystemClock(), fingerprint=self._api.fingerprint, patience=2.0, **credentials
        )
        return self._ends.enter_context(face)


@pytest.fixture(params=["fake", "http", "postgres"])
def office(
    request: pytest.FixtureRequest, clock: ManualClock, run_api: Callable[..., RunningApi]
) -> Iterator[FakePostOffice | HttpOffice]:
    with ExitStack() as ends:
        match request.param:
            case "fake":
                yield FakePostOffice(clock)
            case "http":
                yield HttpOffice(run_api(), clock, ends)
            case _:
                yield HttpOffice(run_api(database=request.getfixturevalue("database")), clock, ends)


@pytest.fixture
def tunnel() -> TunnelId:
    return TunnelId(secrets.token_hex(16))


@pytest.fixture
def claim() -> Secret[bytes]:
    return Secret(secrets.token_bytes(32))


@pytest.fixture
def device(office: Office, tunnel: TunnelId, claim: Secret[bytes]) -> DeviceFace:
    face = office.device()
    face.open(tunnel, b"offer", claim=claim, ttl=600)
    return face


@pytest.fixture
def admin(office: Office, device: DeviceFace, claim: Secret[bytes]) -> Mailbox:
    return office.admin("Ann", claim=claim)


def code_of(call: Callable[[], object], family: type[SupportTunnelError] = WrongState) -> str:
    with pytest.raises(family) as caught:
        call()
    return caught.value.code


def test_a_whole_exchange_arrives_in_order_on_both_sides(tunnel: TunnelId, device: DeviceFace, admin: Mailbox) -> None:
    admin.post(tunnel, "answer", b"m2")
    device.post(tunnel, "confirm", b"m3")
    device.post(tunnel, "ready", b"m4")
    admin.post(tunnel, "control-admin", b"ping")
    device.post(tunnel, "control-device", b"pong")
    expected = [
        Blob(1, "offer", b"offer"),
        Blob(2, "answer", b"m2"),
        Blob(3, "confirm", b"m3"),
        Blob(4, "ready", b"m4"),
        Blob(5, "control-admin", b"ping"),
        Blob(6, "control-device", b"pong"),
    ]
    assert list(device.messages(tunnel, after=0, wait=0)) == expected
    assert list(admin.messages(tunnel, after=0, wait=0)) == expected
    assert list(admin.messages(tunnel, after=4, wait=0)) == expected[4:]
    assert list(admin.messages(tunnel, after=6, wait=0)) == []


def test_opening_again_with_the_same_bytes_is_fine_and_with_others_is_not(
    tunnel: TunnelId, claim: Secret[bytes], device: DeviceFace, office: Office
) -> None:
    device.open(tunnel, b"offer", claim=claim, ttl=600)
    assert code_of(lambda: device.open(tunnel, b"other", claim=claim, ttl=600)) == "tunnel.exists"
    assert code_of(lambda: device.open(tunnel, b"offer", claim=claim, ttl=601)) == "tunnel.exists"
    assert code_of(lambda: device.open(tunnel, b"offer", claim=Secret(bytes(32)), ttl=600)) == "tunnel.exists"
    assert code_of(lambda: office.device().open(tunnel, b"offer", claim=claim, ttl=600)) == "tunnel.exists"
    assert [blob.data for blob in device.messages(tunnel, after=0, wait=0)] == [b"offer"]


def test_the_first_answer_stays_and_the_second_admin_learns_who_has_it(
    tunnel: TunnelId, claim: Secret[bytes], device: DeviceFace, admin: Mailbox, office: Office
) -> None:
    admin.post(tunnel, "answer", b"m2")
    admin.post(tunnel, "answer", b"m2")
    with pytest.raises(WrongState, match=r"helped by Ann since 2030-01-01 00:00 UTC") as late:
        office.admin("Bob", claim=claim).post(tunnel, "answer", b"other")
    assert late.value.code == "answer.late"
    assert [blob.data for blob in device.messages(tunnel, after=1, wait=0)] == [b"m2"]


def test_two_answers_at_once_leave_one(
    tunnel: TunnelId, claim: Secret[bytes], device: DeviceFace, office: Office
) -> None:
    faces = [office.admin(f"admin {n}", claim=claim) for n in range(4)]
    start, codes = threading.Barrier(4), list[str]()

    def answer(n: int) -> None:
        start.wait()
        try:
            faces[n].post(tunnel, "answer", b"m2 of %d" % n)
        except WrongState as error:
            codes.append(error.code)

    threads = [threading.Thread(target=answer, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == ["answer.late"] * 3
    assert len(device.messages(tunnel, after=1, wait=0)) == 1


@pytest.mark.parametrize("slot", ["confirm", "ready"])
def test_a_single_slot_takes_one_message(slot: Slot, tunnel: TunnelId, device: DeviceFace) -> None:
    device.post(tunnel, slot, b"one")
    device.post(tunnel, slot, b"one")
    assert code_of(lambda: device.post(tunnel, slot, b"two")) == "api.slot"
    assert [blob.data for blob in device.messages(tunnel, after=1, wait=0)] == [b"one"]


def test_a_flood_of_control_keeps_the_latest_sixteen_and_no_more(
    tunnel: TunnelId, device: DeviceFace, admin: Mailbox
) -> None:
    device.post(tunnel, "control-device", b"from the device")
    for n in range(40):
        admin.post(tunnel, "control-admin", b"%d" % n)
    admin.post(tunnel, "control-admin", b"39")
    blobs = device.messages(tunnel, after=1, wait=0)
    assert [blob.data for blob in blobs] == [b"from the device", *(b"%d" % n for n in range(24, 40))]
    assert [blob.number for blob in blobs] == [2, *range(27, 43)]


@pytest.mark.parametrize("slot", ["answer", "control-admin"])
def test_the_device_may_not_write_the_admins_slots(slot: Slot, tunnel: TunnelId, device: DeviceFace) -> None:
    assert code_of(lambda: device.post(tunnel, slot, b"x")) == "tunnel.unknown"


@pytest.mark.parametrize("slot", ["confirm", "ready", "control-device"])
def test_the_admin_may_not_write_the_devices_slots(slot: Slot, tunnel: TunnelId, admin: Mailbox) -> None:
    assert code_of(lambda: admin.post(tunnel, slot, b"x")) == "tunnel.unknown"


def test_without_the_claim_a_tunnel_looks_unknown(tunnel: TunnelId, device: DeviceFace, office: Office) -> None:
    for face in (
        office.admin("none"),
        office.admin("wrong", claim=Secret(secrets.token_bytes(32))),
        office.admin("empty", claim=Secret(b"")),
        office.device(),
    ):
        assert code_of(partial(face.messages, tunnel, after=0, wait=0)) == "tunnel.unknown"
        assert code_of(partial(face.post, tunnel, "control-admin", b"x")) == "tunnel.unknown"
        assert code_of(partial(face.close, tunnel)) == "tunnel.unknown"
    assert len(device.messages(tunnel, after=0, wait=0)) == 1


def test_the_claim_without_the_right_to_answer_opens_nothing(
    tunnel: TunnelId, claim: Secret[bytes], device: DeviceFace, office: Office
) -> None:
    lister = office.admin("lister", claim=claim, rights=["list"])
    assert code_of(lambda: lister.messages(tunnel, after=0, wait=0)) == "tunnel.unknown"
    assert [row.tunnel for row in lister.tunnels()] == [tunnel]


def test_another_process_of_the_device_goes_on_with_the_same_token(
    tunnel: TunnelId, device: DeviceFace, office: Office
) -> None:
    keeper = office.device(device.device_token)
    keeper.post(tunnel, "control-device", b"alive")
    assert [blob.data for blob in keeper.messages(tunnel, after=1, wait=0)] == [b"alive"]


def test_the_list_shows_metadata_of_open_tunnels_only(
    tunnel: TunnelId, device: DeviceFace, admin: Mailbox, office: Office, clock: ManualClock
) -> None:
    began = clock.now()
    (row,) = admin.tunnels()
    assert (row.tunnel, row.state, row.slots, row.answered_by) == (tunnel, "open", ("offer",), None)
    assert (row.created, (row.expires - row.created).total_seconds()) == (began, 600)
    admin.post(tunnel, "answer", b"m2")
    (row,) = office.admin("lister", rights=["list"]).tunnels()
    assert (row.slots, row.answered_by) == (("answer", "offer"), "Ann")
    device.close(tunnel)
    assert list(admin.tunnels()) == []


def test_the_list_needs_its_right(device: DeviceFace, office: Office) -> None:
    assert code_of(device.tunnels, UsageError) == "api.token"
    assert code_of(office.admin("answerer", rights=["answer"]).tunnels, UsageError) == "api.token"


def test_a_closed_tunnel_takes_no_answer_but_the_last_word(
    tunnel: TunnelId, device: DeviceFace, admin: Mailbox
) -> None:
    admin.close(tunnel)
    admin.close(tunnel)
    assert code_of(lambda: admin.post(tunnel, "answer", b"m2")) == "tunnel.closed"
    assert code_of(lambda: device.post(tunnel, "confirm", b"m3")) == "tunnel.closed"
    device.post(tunnel, "control-device", b"stopped, with the head of the log")
    (_, last) = admin.messages(tunnel, after=0, wait=LONG)
    assert last.data == b"stopped, with the head of the log"
    assert code_of(lambda: admin.messages(tunnel, after=last.number, wait=LONG)) == "tunnel.closed"


def test_after_its_time_a_tunnel_is_unknown_and_no_call_lengthens_it(
    tunnel: TunnelId, claim: Secret[bytes], device: DeviceFace, admin: Mailbox, clock: ManualClock
) -> None:
    clock.advance(599)
    device.open(tunnel, b"offer", claim=claim, ttl=600)
    admin.post(tunnel, "answer", b"m2")
    clock.advance(1)
    assert code_of(lambda: device.messages(tunnel, after=0, wait=0)) == "tunnel.unknown"
    assert code_of(lambda: device.post(tunnel, "confirm", b"m3")) == "tunnel.unknown"
    assert code_of(lambda: admin.close(tunnel)) == "tunnel.unknown"
    assert list(admin.tunnels()) == []
    device.open(tunnel, b"offer", claim=claim, ttl=600)
    assert [blob.slot for blob in device.messages(tunnel, after=0, wait=0)] == ["offer"]


@pytest.mark.parametrize("size", [0, 16 * 1024 + 1])
def test_a_message_has_a_size(size: int, tunnel: TunnelId, claim: Secret[bytes], device: DeviceFace) -> None:
    assert code_of(lambda: device.post(tunnel, "confirm", bytes(size)), UsageError) == "api.size"
    assert code_of(lambda: device.open(tunnel, bytes(size), claim=claim, ttl=1), UsageError) == "api.size"


@pytest.mark.parametrize("ttl", [0, -1, 24 * 3600 + 1])
def test_a_tunnel_lives_a_day_at_most(ttl: int, tunnel: TunnelId, claim: Secret[bytes], office: Office) -> None:
    assert code_of(lambda: office.device().open(tunnel, b"offer", claim=claim, ttl=ttl), UsageError) == "api.ttl"


def test_the_longest_message_arrives_whole(tunnel: TunnelId, device: DeviceFace, admin: Mailbox) -> None:
    longest = secrets.token_bytes(16 * 1024)
    device.post(tunnel, "confirm", longest)
    assert admin.messages(tunnel, after=1, wait=0)[0].data == longest


def waiting(face: Mailbox, tunnel: TunnelId, after: int) -> tuple[threading.Thread, list[object]]:
    """Begin a long wait in a thread; what it ended with is in the list."""
    ended: list[object] = []

    def wait() -> None:
        try:
            ended.append(list(face.messages(tunnel, after=after, wait=LONG)))
        except WrongState as error:
            ended.append(error.code)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread, ended


def test_a_waiting_reader_gets_what_is_posted(tunnel: TunnelId, device: DeviceFace, admin: Mailbox) -> None:
    thread, ended = waiting(device, tunnel, 1)
    admin.post(tunnel, "answer", b"m2")
    thread.join()
    assert ended == [[Blob(2, "answer", b"m2")]]


def test_a_waiting_reader_is_told_of_the_end(tunnel: TunnelId, device: DeviceFace, admin: Mailbox) -> None:
    thread, ended = waiting(device, tunnel, 1)
    admin.close(tunnel)
    thread.join()
    assert ended == ["tunnel.closed"]


def test_what_happens_elsewhere_wakes_nobody_up_with_nothing(
    tunnel: TunnelId, claim: Secret[bytes], device: DeviceFace, admin: Mailbox, office: Office
) -> None:
    thread, ended = waiting(device, tunnel, 1)
    other = TunnelId(secrets.token_hex(16))
    neighbour = office.device()
    neighbour.open(other, b"offer", claim=claim, ttl=600)
    neighbour.post(other, "confirm", b"elsewhere")
    admin.post(tunnel, "answer", b"m2")
    thread.join()
    assert ended == [[Blob(2, "answer", b"m2")]]
