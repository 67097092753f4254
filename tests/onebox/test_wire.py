"""A packet capture of two whole sessions, on the bridge that all traffic crosses, tells an observer nothing they may not know."""

from __future__ import annotations

import base64

import pytest

from tests.onebox.capture import spellings
from tests.onebox.played import Played, Session
from tests.onebox.played_by_headscale import PlayedByHeadscale

pytestmark = pytest.mark.onebox

WIREGUARD = {"handshake": (b"\x01\0\0\0", 148), "answer": (b"\x02\0\0\0", 92), "data": (b"\x04\0\0\0", 0)}


@pytest.fixture(scope="module")
def haystacks(played: Played) -> list[bytes]:
    return played.capture.haystacks()


def readable(haystacks: list[bytes], session: Session) -> list[str]:
    """Name each secret of a session that stands in the capture, and how it is spelt."""
    return [
        f"{name}, {how}"
        for name, secret in session.secrets.items()
        for how, needle in spellings(secret).items()
        if any(needle in haystack for haystack in haystacks)
    ]


def test_no_secret_of_either_session_is_on_the_wire(played: Played, haystacks: list[bytes]) -> None:
    assert readable(haystacks, played.first) + readable(haystacks, played.second) == []


def test_no_secret_is_on_the_wire_of_the_second_transport(by_headscale: PlayedByHeadscale) -> None:
    known = by_headscale.session.secrets
    assert "join key" in known
    assert len(known) == len(set(known.values())) > 20
    assert readable(by_headscale.capture.haystacks(), by_headscale.session) == []


def test_the_second_transport_speaks_only_tls_and_ssh_over_tcp(by_headscale: PlayedByHeadscale) -> None:
    streams = [stream for stream in by_headscale.capture.streams() if stream.data]
    assert any(stream.target[1] == 443 and stream.data.startswith(b"\x16\x03") for stream in streams)
    for stream in streams:
        assert stream.data.startswith((b"\x16\x03", b"SSH-2.0")), (stream.source, stream.target, stream.data[:40])


def test_what_is_looked_for_is_what_there_is(played: Played) -> None:
    """An empty or wrong secret would be absent from every capture."""
    for session in (played.first, played.second):
        known = session.secrets
        assert len(known) == len(set(known.values())) == 27
        assert min(map(len, known.values())) >= 12
        assert known["code"].startswith(b"st1")
        assert known["name of the device"] == b"Rehearsal device"
        assert known["output"].decode() in session.ran.stdout
    shared = {"admin's API token", "name of the device", "name of the admin"}
    same = {name for name, value in played.first.secrets.items() if played.second.secrets[name] == value}
    assert {name for name in same if "signing key" not in name} == shared


def test_a_text_sent_in_clear_is_found_though_packets_cut_it(played: Played, haystacks: list[bytes]) -> None:
    assert any(played.canary in haystack for haystack in haystacks)
    assert not any(played.canary in packet.payload for packet in played.capture.packets())


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("after", range(3))
def test_a_spelling_within_a_longer_base64_is_found(before: int, after: int) -> None:
    secret = bytes(range(200, 232))
    around = b"a" * before + secret + b"z" * after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert any(needle in encode(around) for needle in spellings(secret).values())


def test_the_capture_holds_the_whole_run(played: Played) -> None:
    """Each session's server was reached by ssh, its WireGuard by the device, the API by both ends over TLS."""
    streams = played.capture.streams()
    for session in (played.first, played.second):
        server = session.live.admin["server"]
        ssh = [
            stream for stream in streams if stream.target == (server, 22) and stream.data
        ]  # empty: refused while it boots
        assert all(stream.data.startswith(b"SSH-2.0-") for stream in ssh)
        assert len(ssh) >= 4  # first contact, second contact, the command, the proofs
        for head, length in WIREGUARD.values():
            assert any(
                packet.payload.startswith(head) and len(packet.payload) in (length or len(packet.payload),)
                for packet in played.capture.datagrams()
                if {packet.source[0], packet.target[0]} == {server, played.device_address}
            )
    api = [stream for stream in streams if stream.data.startswith(b"\x16\x03")]
    assert {stream.source[0] for stream in api} >= {played.device_address}


def test_nothing_is_spoken_but_ssh_tls_and_wireguard(played: Played) -> None:
    addresses = {played.device_address, played.first.live.admin["server"], played.second.live.admin["server"]}
    spoken = {
        stream.data[:4]
        for stream in played.capture.streams()
        if stream.data
        and not played.canary.startswith(stream.data)
        and stream.data != played.canary
        and stream.data != b".."
    }
    assert {head for head in spoken if head != b"SSH-" and head[:2] != b"\x16\x03"} == set()
    between = [packet for packet in played.capture.datagrams() if {packet.source[0], packet.target[0]} <= addresses]
    assert between
    assert {packet.payload[:4] for packet in between} <= {bytes([kind, 0, 0, 0]) for kind in (1, 2, 3, 4)}
