"""The device's other verbs on a real host: the doctor with one thing broken at a time, the lists, the owner's scripts."""

from __future__ import annotations

import json
import shlex
from email.utils import formatdate

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.cli.admin.rehearsal.stage import invoke_on_device
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.st1.code import Code
from support_tunnel.core.waiting import wait_for
from support_tunnel.desired import probes
from support_tunnel.desired.device_units import BOOT_UNITS
from tests.onebox.breaking import BROKEN, CONFIG, broken, doctor, troubles
from tests.onebox.crew import HOST_STATE, PATIENCE, Crew, last_json

pytestmark = pytest.mark.onebox

MISSING = {
    "no WireGuard": "device.wireguard",
    "no nft": "device.missing",
    "no sshd": "device.missing",
    "IPv6 off": "device.ipv6",
    "/run read-only": "device.run",
    "old OpenSSH": "device.kex",
}
"""By what is missing: how a request is refused (05, test 54)."""


@pytest.mark.parametrize("name", MISSING)
def test_a_request_on_a_device_that_cannot_hold_a_session_is_refused_before_anything_is_made(
    people: Crew, name: str
) -> None:
    before = people.device(HOST_STATE)
    (breaks, mends), _ = BROKEN[name]
    with broken(people, breaks, mends):
        refused = people.inv("request-and-connect-tunnel", "--json")
    assert (refused.status, last_json(refused.stdout)["error"]["code"]) == (6, MISSING[name])
    assert last_json(refused.stdout)["error"]["next_step"]
    assert "Traceback" not in refused.stderr
    assert people.device(HOST_STATE).splitlines() == before.splitlines()


def test_a_good_device_passes_every_check(people: Crew) -> None:
    states = doctor(people)
    assert set(states.values()) == {"ok"}
    assert {"api", "clock", "config", "disk", "openssh", "udp", "wireguard"} < set(states)
    said = people.inv("doctor")
    assert (said.status, len(said.stdout.splitlines())) == (0, len(states))


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(people: Crew, name: str) -> None:
    (breaks, mends), named = BROKEN[name]
    with broken(people, breaks, mends):
        assert troubles(people) == named
    assert troubles(people) == {}


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_off_is_named(people: Crew, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """The API's, which runs in this process: from the device nobody can tell which of the two is wrong."""
    assert troubles(people) == {}
    monkeypatch.setattr("uvicorn.server.formatdate", lambda now, **how: formatdate(now + days * 86400, **how))

    def named() -> bool | None:
        return True if troubles(people) == {"clock": "fail"} else None

    wait_for(named, what="the API's next second", seconds=PATIENCE, clock=SystemClock())


SCRIPT = r"""
mkdir -p /opt/hooks
printf '%s\n' '#!/bin/sh' 'echo "$1 $2 $SUPPORT_TUNNEL_USER" >> /root/hooks-ran' 'echo "said at $1"' 'exit 0' > /opt/hooks/note
printf '%s\n' '#!/bin/sh' 'exit 9' > /opt/hooks/refuse
chmod 755 /opt/hooks/*
cp -p {config} /root/config.ini
for moment in pre-up post-up pre-down post-down; do
    echo "$moment-script = /opt/hooks/note $moment {{iface}}" >> {config}
done
"""
MEND = f"mv /root/config.ini {CONFIG}; rm -rf /opt/hooks /root/hooks-ran"


@pytest.mark.parametrize("ends", ["owner", "helper"])
def test_the_owners_scripts_run_around_a_session_and_the_lists_tell_of_it(trusting: Crew, ends: str) -> None:
    with broken(trusting, SCRIPT.format(config=CONFIG), MEND):
        live = trusting.connect("--ttl", "5")
        names = live.names
        assert trusting.inv("list-running-tunnels").stdout == f"{live.tunnel} connected\n"
        if ends == "owner":
            stopped = trusting.inv("stop", "--tunnel", names.short, "--json")
            assert json.loads(stopped.stdout) == {"stopped": [live.tunnel]}
            assert trusting.fab("stop", names.short).status == 0
        else:
            assert trusting.fab("stop", names.short).status == 0
            trusting.closed()
        ran = trusting.device("cat /root/hooks-ran").splitlines()
        moments = ["pre-up", "post-up", "pre-down", "post-down"]
        assert ran == [f"{moment} {names.interface} {names.user}" for moment in moments]
        assert trusting.inv("list-running-tunnels").stdout == ""
        assert live.tunnel in trusting.inv("list-all-tunnels").stdout.splitlines()
        rows = json.loads(trusting.inv("detail-all-tunnels").stdout)
        (row,) = [row for row in rows if row["tunnel_id"] == live.tunnel]
        assert (row["number"], row["log"]["holds"], row["user"]) == (50, True, names.user)
        assert row["hooks"] == [{"hook": one, "status": 0, "output": f"said at {one}"} for one in moments]
        assert trusting.left(live.tunnel) == []


def test_a_script_that_refuses_keeps_everybody_out(trusting: Crew) -> None:
    refuses = SCRIPT.format(config=CONFIG).replace('/opt/hooks/note $moment {iface}" >>', '/opt/hooks/refuse" >>')
    with broken(trusting, refuses, MEND):
        ask = invoke_on_device("request-and-connect-tunnel", "--json", "--ttl", "5")
        with processes.streaming([*trusting.on.device.ssh, ask]) as owner:
            code = Code.parse(json.loads(owner.line())["preshared_key"])
            trusting.fab("create-tunnel-server", "--json", "-p", "-", stdin=code.text().reveal())
            ended = owner.end(timeout=PATIENCE)
        assert (ended.status, last_json(ended.stdout)["error"]["code"]) == (6, "hook.failed")
        assert trusting.fab("sweep").status == 0
        assert trusting.left(code.tunnel) == []


def test_a_session_is_ended_on_a_device_whose_settings_are_broken(trusting: Crew) -> None:
    live = trusting.connect("--ttl", "5")
    with broken(trusting, f"chmod 666 {CONFIG}", f"chmod 644 {CONFIG}"):
        stopped = trusting.inv("stop")
        assert stopped.status == 0, stopped.stderr
        assert CONFIG in stopped.stderr
        assert trusting.device(probes.leftovers(live.names).reveal()) == ""
    assert trusting.fab("stop", live.names.short).status == 0
    assert [thing for thing in trusting.left(live.tunnel) if not thing.startswith("api:")] == []


FOREIGN = """
set -e
groupadd st0123abcd; useradd --comment 'a till' --gid st0123abcd --no-create-home --system st0123abcd
groupadd st4567abcd
ip tuntap add dev st-0123abcd mode tun
nft add table inet st-0123abcd
printf '[Unit]\\nDescription=of a till\\n[Service]\\nExecStart=/bin/sleep 600\\n' > /run/systemd/system/st-0123abcd.service
systemctl daemon-reload; systemctl start st-0123abcd
"""
NOT_FOREIGN = """
systemctl stop st-0123abcd; rm /run/systemd/system/st-0123abcd.service; systemctl daemon-reload
nft delete table inet st-0123abcd; ip link delete st-0123abcd; userdel st0123abcd; groupdel st4567abcd
"""


def test_what_others_have_under_our_kind_of_name_is_never_touched(people: Crew) -> None:
    with broken(people, FOREIGN, NOT_FOREIGN):
        before = people.device(HOST_STATE)
        assert json.loads(people.inv("status", "--json").stdout) == []
        assert people.inv("gc").stdout == "nothing to clean up\n"
        assert json.loads(people.inv("stop", "--json").stdout) == {"stopped": []}
        assert people.device(HOST_STATE).splitlines() == before.splitlines()
        left = people.device(probes.taken(Names(TunnelId("0123abcd" * 4))).reveal())
        for thing in ("account", "group", "interface", "nft table", "unit"):
            assert f"\t{thing} st" in left


def test_a_group_that_a_power_cut_left_alone_is_ours_by_its_log(people: Crew) -> None:
    people.device(
        "mkdir -p -m 700 /var/log/support_tunnel; touch /var/log/support_tunnel/89abcdef.jsonl; groupadd --system st89abcdef"
    )
    assert json.loads(people.inv("gc", "--json").stdout) == {"ended": ["89abcdef" + "0" * 24]}
    assert people.device("getent group st89abcdef; rm /var/log/support_tunnel/89abcdef.jsonl") == ""
    assert people.inv("gc").stdout == "nothing to clean up\n"


def test_a_damaged_record_ends_by_name_and_says_which_file(trusting: Crew) -> None:
    live = trusting.connect("--ttl", "5")
    file = f"/run/support_tunnel/vault/{live.tunnel}/tunnel"
    # A keeper that has not read it yet would see the damage as well, and end the session before the owner does.
    trusting.device(shlex.join(["systemctl", "kill", "--signal=STOP", live.names.keeper_unit]))
    trusting.device(f"truncate -s 20 {file}")
    (row,) = json.loads(trusting.inv("status", "--json").stdout)
    assert row["state"] == "orphaned"
    stopped = trusting.inv("stop")
    assert stopped.status == 0, stopped.stderr
    assert file in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert trusting.fab("stop", live.names.short).status == 0
    assert trusting.left(live.tunnel) == []


UNITS = "systemctl is-enabled support-tunnel-clean.service support-tunnel-clean.timer support-tunnel-connect.timer 2>&1"


def test_installed_the_device_cleans_up_by_itself_and_uninstalled_it_is_as_before(people: Crew) -> None:
    before, settings = people.device(HOST_STATE), people.device(f"cat {CONFIG}")
    refused = people.inv("install", "--api", "http://192.0.2.1")
    assert refused.status == 2
    assert people.device(f"cat {CONFIG}") == settings

    installed = people.inv("install", "--minutes", "30", "--connect-minutes", "5", "--name", "Till 3", "--json")
    assert installed.status == 0, installed.stderr
    assert {"Settings", "It cleans up at each boot"} <= set(json.loads(installed.stdout)["changed"])
    assert people.inv("install", "--name", "Till 3").stdout == "installed: nothing had to be changed\n"
    assert people.device(UNITS).splitlines() == ["enabled"] * 3
    assert "name = Till 3" in people.device(f"cat {CONFIG}")
    assert set(doctor(people).values()) == {"ok"}

    people.device("useradd --system --comment 'support-tunnel session' --no-create-home st0123abcd")
    assert people.device("systemctl start support-tunnel-clean.service && echo cleaned") == "cleaned\n"
    assert people.device("getent passwd st0123abcd") == ""
    assert people.device("systemctl start support-tunnel-connect.service && echo looked") == "looked\n"

    switched_off = people.inv("install", "--connect-minutes", "0", "--json")
    assert "Nothing looks for what was approved before" in json.loads(switched_off.stdout)["changed"]
    assert people.device(UNITS).splitlines().count("enabled") == 2
    assert people.device("systemctl list-units --all --no-legend 'support-tunnel-connect.*'") == ""
    assert people.inv("install", "--connect-minutes", "0").stdout == "installed: nothing had to be changed\n"
    assert people.inv("install").stdout == "installed: nothing had to be changed\n"
    assert people.inv("install", "--connect-minutes", "5").status == 0

    gone = people.inv("uninstall", "--json")
    assert set(json.loads(gone.stdout)["removed"]) == set(BOOT_UNITS)
    assert "enabled" not in people.device(UNITS).splitlines()
    assert people.inv("uninstall").stdout == "uninstalled: there was nothing to take away\n"
    people.inv("install", "--name", "Rehearsal device")
    assert people.inv("uninstall").status == 0
    assert people.device(f"cat {CONFIG}") == settings
    assert people.device(HOST_STATE).splitlines() == before.splitlines()


def test_installing_keeps_the_owners_scripts(people: Crew) -> None:
    with broken(people, SCRIPT.format(config=CONFIG), MEND):
        unquoted = f'tr -d "\'" < {CONFIG}'
        before = people.device(unquoted)
        assert before.count("-script = /opt/hooks/note ") == 4
        assert people.inv("install").status == 0
        assert people.inv("install").stdout == "installed: nothing had to be changed\n"
        assert people.inv("uninstall").status == 0
        assert people.device(unquoted) == before


def test_settings_from_the_environment_alone_reach_the_keeper(trusting: Crew) -> None:
    """It is no child of the shell that asked, and once ended at its first step, leaving a session nobody watched."""
    settings = trusting.on.settings
    told = shlex.join(
        [f"SUPPORT_TUNNEL_API={settings.api}", f"SUPPORT_TUNNEL_API_FINGERPRINT={settings.api_fingerprint}"]
    )
    with broken(trusting, f"mv {CONFIG} /root/config.ini", f"mv /root/config.ini {CONFIG}"):
        ask = invoke_on_device("request-and-connect-tunnel", "--json", "--ttl", "5")
        with processes.streaming([*trusting.on.device.ssh, f"env {told} {ask}"]) as owner:
            code = Code.parse(json.loads(owner.line())["preshared_key"])
            answered = trusting.fab("create-tunnel-server", "--json", "-p", "-", stdin=code.text().reveal())
            assert owner.end(timeout=PATIENCE).status == 0
        assert answered.status == 0, answered.stderr
        assert trusting.inv("list-running-tunnels").stdout == f"{code.tunnel} connected\n"
        assert trusting.fab("stop", code.tunnel[:8]).status == 0
        trusting.closed()
        (row,) = [
            row for row in json.loads(trusting.inv("detail-all-tunnels").stdout) if row["tunnel_id"] == code.tunnel
        ]
        assert row["reason"] == "the helper ended it"
        assert trusting.left(code.tunnel) == []
