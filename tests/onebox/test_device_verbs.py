"""The device's other verbs on a real host: the doctor with one thing broken at a time, the lists, the owner's scripts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support_tunnel.adapters import processes
from support_tunnel.cli.rehearsal.stage import invoke_on_device
from support_tunnel.core.st1.code import Code
from support_tunnel.desired import probes
from support_tunnel.desired.device_units import BOOT_UNITS
from tests.onebox.crew import HOST_STATE, PATIENCE, Crew, last_json

pytestmark = pytest.mark.onebox

CONFIG = "/etc/support_tunnel/config.ini"


def doctor(people: Crew) -> dict[str, str]:
    """By check: its state. Each that is not ok names a fix."""
    ended = people.inv("doctor", "--json")
    rows = json.loads(ended.stdout.splitlines()[0])
    assert [row for row in rows if bool(row["fix"]) is (row["state"] == "ok")] == []
    states = {row["check"]: row["state"] for row in rows}
    assert ended.status == (1 if "fail" in states.values() else 0), ended.stderr
    return states


def troubles(people: Crew) -> dict[str, str]:
    return {name: state for name, state in doctor(people).items() if state != "ok"}


@contextmanager
def broken(people: Crew, breaks: str, mends: str) -> Iterator[None]:
    people.device(f"set -e\n{breaks}")
    try:
        yield
    finally:
        people.device(mends)


def hidden(*programs: str) -> tuple[str, str]:
    """Move programs out of the way, and back."""
    away = "\n".join(f"p=$(command -v {name}); echo $p >> /root/hidden; mv $p /root/{name}" for name in programs)
    back = "while read -r p; do mv /root/$(basename $p) $p; done < /root/hidden; rm /root/hidden"
    return f"PATH=$PATH:/usr/sbin:/sbin\n{away}", back


def shim(name: str, script: str) -> tuple[str, str]:
    """Put a program before the real one."""
    return (
        f"printf '%s\\n' '#!/bin/sh' {shlex.quote(script)} > /usr/local/bin/{name}; chmod 755 /usr/local/bin/{name}",
        f"rm /usr/local/bin/{name}",
    )


def edited(*change: str) -> tuple[str, str]:
    return f"cp -p {CONFIG} /root/config.ini\n{shlex.join(change)}", f"mv /root/config.ini {CONFIG}"


BROKEN = {
    "no WireGuard": (hidden("wireguard-go"), {"wireguard": "fail"}),
    "no sshd": (hidden("sshd"), {"programs": "fail"}),
    "old OpenSSH": (
        shim("ssh", "case $1 in -V) echo OpenSSH_8.4p1 >&2 ;; *) echo curve25519-sha256 ;; esac"),
        {"openssh": "fail"},
    ),
    "ufw": (shim("ufw", "echo Status: active"), {"firewall": "warn"}),
    "wrong config owner": (edited("chown", "nobody", CONFIG), {"config": "fail"}),
    "config others can write": (edited("chmod", "666", CONFIG), {"config": "fail"}),
    "wrong API address": (edited("sed", "-i", r"s/^api = .*/api = https:\/\/127.0.0.1:1/", CONFIG), {"api": "fail"}),
    "wrong pin": (
        edited("sed", "-i", "s/^api-fingerprint = .*/api-fingerprint = " + "0" * 64 + "/", CONFIG),
        {"api": "fail"},
    ),
    "a script of others": (
        edited("sed", "-i", "$ a pre-up-script = /tmp/up", CONFIG),
        {"config": "fail"},
    ),
    "a lost list of organisations": (edited("sed", "-i", "$ a org-ca = /nonexistent", CONFIG), {"config": "fail"}),
    "UDP blocked": (
        (
            "nft add table inet blocked; nft add chain inet blocked out '{ type filter hook output priority 0; }'\n"
            "nft add rule inet blocked out meta l4proto udp drop",
            "nft delete table inet blocked",
        ),
        {"udp": "fail"},
    ),
    "full disk": (
        (
            "mkdir -p /var/log/support_tunnel; mount -t tmpfs -o size=64k none /var/log/support_tunnel",
            "umount /var/log/support_tunnel",
        ),
        {"disk": "fail"},
    ),
}


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
