"""What a session is while it lasts, and that nothing of it is left on either end."""

from __future__ import annotations

import json
import re

import pytest

from support_tunnel.adapters.local_cloud.snapshot import changes
from support_tunnel.core import audit
from tests.onebox.played import DEVICE, SERVER, Played, Session
from tests.onebox.played_by_headscale import PlayedByHeadscale

pytestmark = pytest.mark.onebox

LEFT_ON_PURPOSE = {
    "var/log/support_tunnel": "the log of each session",
    "var/lib/support_tunnel": "the admins met",
    "var/log/journal": "the device's own journal, which goes on as ever",
}

POST_QUANTUM = re.compile(r"(mlkem768x25519-sha256|sntrup761x25519-sha512(@openssh\.com)?)")


BY_WIREGUARD, BY_HEADSCALE = ("first", "second"), ("by headscale",)


@pytest.fixture(params=(*BY_WIREGUARD, *BY_HEADSCALE))
def session(request: pytest.FixtureRequest) -> Session:
    if request.param in BY_HEADSCALE:
        by_headscale: PlayedByHeadscale = request.getfixturevalue("by_headscale")
        return by_headscale.session
    found: Session = getattr(request.getfixturevalue("played"), request.param)
    return found


@pytest.fixture(params=["wireguard", "headscale"])
def whole(request: pytest.FixtureRequest) -> Played | PlayedByHeadscale:
    """What a device was like before and after all sessions of a transport."""
    found: Played | PlayedByHeadscale = request.getfixturevalue(
        "played" if request.param == "wireguard" else "by_headscale"
    )
    return found


def test_a_command_runs_as_the_session_user_on_the_device(session: Session) -> None:
    assert session.ran.stdout.splitlines() == [session.live.names.user, "device", session.marker]
    assert session.ran.status == 7


def test_both_tools_tell_the_same(session: Session) -> None:
    owner, admin = session.live.owner, session.live.admin
    assert (owner["event"], admin["event"]) == ("connected", "connected")
    assert (owner["user"], owner["until"]) == (admin["user"], admin["until"])
    assert (owner["admin"], admin["device"], owner["scope"]) == ("Rehearsal admin", "Rehearsal device", "shell")
    assert admin["tunnel_id"] == session.live.tunnel


@pytest.mark.parametrize("session", BY_WIREGUARD, indirect=True)
def test_both_ends_hold_the_same_preshared_key_and_have_met(session: Session) -> None:
    (device_psk, device_age), (server_psk, server_age) = session.peers["device"], session.peers["server"]
    assert device_psk == server_psk
    for age in (device_age, server_age):
        assert 0 <= int(age) < 300  # never met: the age of the epoch


def test_each_session_has_its_own_keys(played: Played) -> None:
    assert played.first.peers["device"][0] != played.second.peers["device"][0]
    assert played.first.pinned[SERVER] != played.second.pinned[SERVER]
    assert played.first.pinned[DEVICE] != played.second.pinned[DEVICE]


def test_each_side_says_which_way_it_goes(played: Played, by_headscale: PlayedByHeadscale) -> None:
    lives = (played.first.live, by_headscale.session.live, by_headscale.relayed)
    assert [(live.admin["transport"], live.admin.get("way")) for live in lives] == [
        ("wireguard", "udp"),
        ("headscale", "direct"),
        ("headscale", "relay"),
    ]
    assert [live.owner["way"] for live in lives] == ["udp", "direct", "relay"]
    assert re.fullmatch(r"by WireGuard on UDP \d{5}", lives[0].owner["how"])
    assert [live.owner["how"] for live in lives[1:]] == [
        "through a Headscale server, directly by UDP",
        "through a Headscale server, by its relay: UDP does not get through",
    ]


def test_without_udp_the_session_works_and_ends_all_the_same(by_headscale: PlayedByHeadscale) -> None:
    assert by_headscale.relayed_ran.stdout.splitlines() == [by_headscale.relayed.names.user, "device"]
    assert by_headscale.relayed_left == []


@pytest.mark.parametrize("hop", [SERVER, DEVICE])
def test_ssh_agrees_on_a_post_quantum_key_exchange(session: Session, hop: str) -> None:
    assert POST_QUANTUM.fullmatch(session.kex[hop])


def test_the_admin_knows_each_host_by_the_key_it_really_has(session: Session) -> None:
    assert session.pinned == session.host_keys
    assert set(session.pinned) == {SERVER, DEVICE}


@pytest.mark.parametrize("session", BY_HEADSCALE, indirect=True)
def test_beside_them_headscale_and_its_node_listen_where_it_is_one(session: Session) -> None:
    listening = {
        (words[0], words[4].rpartition(":")[2], words[6].split('"')[1])
        for words in (line.split() for line in session.listening)
        if len(words) > 6 and not words[4].startswith(("127.", "[::1]"))
    }
    ours = {(kind, port, program) for kind, port, program in listening if program not in ("sshd", "wireguard-go")}
    fixed = {("tcp", "443", "headscale"), ("udp", "3478", "headscale"), ("udp", "41641", "tailscaled")}
    # tailscaled answers its peers' own questions inside the network, where nobody but the device is.
    assert fixed <= ours
    assert {program for _, _, program in ours - fixed} <= {"tailscaled"}


@pytest.mark.parametrize("session", BY_WIREGUARD, indirect=True)
def test_only_sshd_and_wireguard_listen_on_the_server(session: Session) -> None:
    tcp = [line.split() for line in session.listening if line.startswith("tcp")]
    udp = [line.split() for line in session.listening if line.startswith("udp")]
    assert len(tcp) + len(udp) == len(session.listening)
    assert {words[4].rpartition(":")[2] for words in tcp} == {"22"}
    assert all('"sshd"' in words[6] for words in tcp)
    assert len({words[4].rpartition(":")[2] for words in udp}) == 1
    assert all(len(words) == 6 or '"wireguard-go"' in words[6] for words in udp)  # 6: the kernel's own WireGuard


def test_the_device_has_the_files_that_it_had(whole: Played | PlayedByHeadscale) -> None:
    assert changes(*whole.tree, ignoring=LEFT_ON_PURPOSE) == []
    seen = changes(*whole.tree, ignoring=())
    lives = (whole.first.live, whole.second.live) if isinstance(whole, Played) else (whole.session.live, whole.relayed)
    assert {f"added var/log/support_tunnel/{live.names.short}.jsonl" for live in lives} <= set(seen)
    assert "added var/lib/support_tunnel/admins.json" in seen


def test_the_device_has_the_users_links_tables_units_and_processes_that_it_had(
    whole: Played | PlayedByHeadscale,
) -> None:
    before, after = whole.host
    assert after.splitlines() == before.splitlines()
    for heading in ("users", "links", "routes", "tables", "units", "processes", "folders"):
        assert heading in before.splitlines()


def test_no_trace_is_left_on_either_side(session: Session) -> None:
    assert session.left == []


def test_the_log_holds_and_tells_the_whole_story(session: Session) -> None:
    verified = audit.verify(session.log, session.live.tunnel)
    lines = [json.loads(line) for line in session.log.splitlines()]
    assert verified.count == len(lines)
    assert [line["event"] for line in lines] == ["requested", "consented", "opened", "logged-in", "ended"]
    requested, consented, opened, came, ended = (line["data"] for line in lines)
    assert requested == {"scope": "shell", "ttl": 300, "tunnel": session.live.tunnel}
    assert {key: consented[key] for key in ("how", "admin", "scope")} == {
        "how": "policy",
        "admin": "Rehearsal admin",
        "scope": "shell",
    }
    assert consented["fingerprint"] == session.live.owner["fingerprint"]
    assert opened == {"user": session.live.names.user, "until": consented["until"]}
    assert (came["who"], set(came)) == ("Rehearsal admin", {"who", "fingerprint", "from"})
    assert ended == {"reason": "the helper ended it"}


def test_an_edited_log_no_longer_holds(session: Session) -> None:
    edited = session.log.replace(b'"shell"', b'"view"', 1)
    with pytest.raises(audit.LogBroken):
        audit.verify(edited, session.live.tunnel)


def test_the_device_counts_how_often_it_has_met_the_admin(played: Played) -> None:
    assert (played.first.times_met, played.second.times_met) == (1, 2)
