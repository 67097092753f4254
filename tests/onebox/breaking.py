"""Break one thing of a device, and mend it again; and what its doctor says meanwhile."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from support_tunnel.cli.tailnet_programs import on_this_machine
from tests.onebox.crew import Crew

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


def tailscale(version: str, breaks: str = ":", mends: str = ":") -> tuple[str, str]:
    """Programs of this version, as the settings name them."""
    programs = f"mkdir /root/ts; for p in tailscale tailscaled; do printf '#!/bin/sh\\necho {version}\\n' > /root/ts/$p; chmod 755 /root/ts/$p; done"
    edits, back = edited("sed", "-i", "$ a tailscale = /root/ts", CONFIG)
    return f"{programs}\n{edits}\n{breaks}", f"{mends}\n{back}\nrm -r /root/ts"


WITH_TAILSCALE = {"headscale": "warn"} if on_this_machine("") else {}
"""Where set-up had no Go, a device node has no Tailscale that could lack something."""

BROKEN = {
    "no WireGuard": (hidden("wireguard-go"), {"wireguard": "fail"}),
    "no WireGuard's device": (
        ("mv /dev/net /dev/net-away", "mv /dev/net-away /dev/net"),
        {"wireguard": "fail"} | WITH_TAILSCALE,
    ),
    "no nft": (hidden("nft"), {"programs": "fail"}),
    "no sshd": (hidden("sshd"), {"programs": "fail"}),
    "IPv6 off": (
        (
            # What the kernel would say; a container may not change it.
            "echo 1 > /dev/shm/off; mount --bind /dev/shm/off /proc/sys/net/ipv6/conf/default/disable_ipv6",
            "umount /proc/sys/net/ipv6/conf/default/disable_ipv6; rm /dev/shm/off",
        ),
        {"ipv6": "fail"},
    ),
    "/run read-only": (
        ("mount --bind /run /run; mount -o remount,bind,ro /run", "umount /run"),
        {"memory": "fail"},
    ),
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
    "no Tailscale where it should be": (
        edited("sed", "-i", "$ a tailscale = /nonexistent", CONFIG),
        {"headscale": "warn"},
    ),
    "an old Tailscale": (tailscale("1.70.0"), {"headscale": "warn"}),
    "another Tailscale": (
        tailscale("1.102.3", "ip rule add priority 5270 lookup 52", "ip rule delete priority 5270"),
        {"headscale": "warn"},
    ),
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
