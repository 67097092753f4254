"""Judge whether a device can hold a session, from facts that others gathered. Every verdict that is not ok says what to do.

Pure: each judgement is a function of what was found, so each can be shown a broken device that no test machine is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from support_tunnel.core.addressing import SESSION_PORT
from support_tunnel.core.errors import HostError, SupportTunnelError, UsageError
from support_tunnel.core.kex import POST_QUANTUM_KEX

__all__ = ["Check", "failure", "judge_clock", "judge_host", "judge_mlkem", "require_fit"]

PACKAGES: Final = {
    "ip": "iproute2",
    "nft": "nftables",
    "wg": "wireguard-tools",
    "pgrep": "procps",
    "pkill": "procps",
    "sshd": "openssh-server",
    "useradd": "passwd",
    "systemctl": "systemd",
    "systemd-run": "systemd",
}
OLDEST_SYSTEMD: Final = 247
SMALLEST_MTU: Final = 1280 + 80
"""IPv6 asks for 1280 inside the tunnel; WireGuard and the headers around it add up to 80 (wireguard.com, overhead)."""
LEAST_DISK: Final = 1024
ENOUGH_DISK: Final = 51200
"""KiB for the log."""
CLOCK_WARN, CLOCK_FAIL = timedelta(seconds=30), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. `fix`: the next thing to do; empty when all is well.

    `unknown`: it could not be told without changing something. Only a cloud has such.
    """

    name: str
    state: Literal["ok", "warn", "fail", "unknown"]
    said: str
    fix: str = ""


def failure(name: str, error: SupportTunnelError) -> Check:
    return Check(name, "fail", error.message, error.next_step or "Mend what it names, then run this again.")


def blamed(error: SupportTunnelError) -> str:
    """Which check a failure on the way to the API belongs to: the proxy's or the API's own."""
    return "proxy" if error.code.startswith("proxy.") or error.code == "config.proxy" else "api"


def judge_host(found: Mapping[str, str]) -> list[Check]:
    """Judge what `desired.doctor_probe` found; a key that is missing counts as the thing that is missing."""
    judges = (*_FIT.values(), _disk, _firewall, _mtu)
    return [judge(found) for judge in judges]


def require_fit(found: Mapping[str, str]) -> None:
    """Refuse a device that cannot hold a session, before anything is made on it: the first thing that is missing, by name.

    `found` is what `probes.capabilities` read. Raises UsageError `device.root`, HostError `device.*`.
    """
    for code, judge in _FIT.items():
        check = judge(found)
        if check.state == "fail":
            kind = UsageError if code == "device.root" else HostError
            raise kind(code, check.said, next_step=check.fix)


def _root(found: Mapping[str, str]) -> Check:
    if found.get("uid") == "0":
        return Check("root", "ok", "this runs as root")
    return Check("root", "fail", "this needs root on the device", "Run it again with sudo.")


def _programs(found: Mapping[str, str]) -> Check:
    missing = found.get("missing", "").split()
    if not missing:
        return Check("programs", "ok", "every program that a session needs is there")
    packages = " ".join(sorted({PACKAGES[name] for name in missing}))
    return Check("programs", "fail", f"this device lacks: {', '.join(missing)}", f"Debian: apt-get install {packages}")


def _systemd(found: Mapping[str, str]) -> Check:
    version = int((re.match(r"systemd (\d+)", found.get("systemd-version", "")) or ["", "0"])[1])
    if found.get("systemd") != "running":
        return Check("systemd", "fail", "systemd does not run this device", "A session needs a device run by systemd.")
    if version < OLDEST_SYSTEMD:
        return Check(
            "systemd",
            "fail",
            f"systemd {version} is too old",
            f"Upgrade the system to systemd {OLDEST_SYSTEMD} or later.",
        )
    return Check("systemd", "ok", f"systemd {version}")


def _openssh(found: Mapping[str, str]) -> Check:
    version = found.get("ssh-version", "").split(",")[0] or "OpenSSH"
    usable = [name for name in POST_QUANTUM_KEX if name in found.get("kex", "").split()]
    if usable:
        return Check("openssh", "ok", f"{version} with {usable[0]}")
    return Check(
        "openssh",
        "fail",
        f"{version} knows no post-quantum key exchange",
        "Upgrade OpenSSH to 9.0 or later, better 9.9.",
    )


def _wireguard(found: Mapping[str, str]) -> Check:
    kind = found.get("wireguard", "")
    if kind == "kernel":
        return Check("wireguard", "ok", "in the kernel")
    if kind == "go" and "tun" in found:
        return Check("wireguard", "ok", "wireguard-go (slower than the kernel's)")
    if kind == "go":
        return Check("wireguard", "fail", "wireguard-go has no /dev/net/tun", "Load the module: modprobe tun")
    return Check(
        "wireguard",
        "fail",
        "neither the kernel nor a program speaks WireGuard",
        "Debian: apt-get install wireguard-go, or boot a kernel with the wireguard module.",
    )


def _ipv6(found: Mapping[str, str]) -> Check:
    if found.get("ipv6") == "on":
        return Check("ipv6", "ok", "new interfaces speak IPv6")
    return Check(
        "ipv6",
        "fail",
        "IPv6 is off on this device, and the tunnel speaks it inside (nothing else has to)",
        "sysctl -w net.ipv6.conf.default.disable_ipv6=0, or boot without ipv6.disable=1.",
    )


def _memory(found: Mapping[str, str]) -> Check:
    kind = found.get("run", "unknown")
    if found.get("run-writable") != "yes":
        return Check(
            "memory", "fail", "/run cannot be written, and all of a session lies there", "mount -o remount,rw /run"
        )
    if kind in {"tmpfs", "ramfs"}:
        return Check("memory", "ok", "/run is in memory")
    return Check(
        "memory", "fail", f"/run is on {kind}, and session keys may lie in memory only", "Mount a tmpfs on /run."
    )


def _disk(found: Mapping[str, str]) -> Check:
    free = int(found.get("log-free", "0"))
    if free >= ENOUGH_DISK:
        return Check("disk", "ok", f"{free // 1024} MiB free for the log")
    fix = "Make room on the file system of /var/log; a session is not opened when its log cannot be written."
    return Check("disk", "fail" if free < LEAST_DISK else "warn", f"{free} KiB free for the log", fix)


def _firewall(found: Mapping[str, str]) -> Check:
    others = found.get("firewall", "").split()
    if not others:
        return Check("firewall", "ok", "no ufw or firewalld is active")
    return Check(
        "firewall",
        "warn",
        f"{' and '.join(others)} may drop what a session's own filter lets in",
        f"Allow TCP port {SESSION_PORT} on the interfaces st-* there.",
    )


def _mtu(found: Mapping[str, str]) -> Check:
    sizes = [int(size) for size in found.get("mtu", "").split()]
    if not sizes:
        return Check("network", "fail", "there is no route to the internet", "Connect the device to a network.")
    if min(sizes) < SMALLEST_MTU:
        return Check(
            "network",
            "warn",
            f"the way out takes packets of {min(sizes)} bytes only",
            f"Tunnels need {SMALLEST_MTU}: raise the MTU of the interface, or use another way out.",
        )
    return Check("network", "ok", f"a route to the internet, packets of {min(sizes)} bytes")


def judge_clock(offset: timedelta) -> Check:
    """`offset`: the API's clock minus ours. Which of the two is wrong cannot be told from here."""
    seconds, apart = offset.total_seconds(), abs(offset)
    if apart <= CLOCK_WARN:
        return Check("clock", "ok", f"{seconds:+.0f} s from the API's")
    fix = "Set the clock (timedatectl set-ntp true); when it is right, tell the API's operator that theirs is not."
    return Check(
        "clock", "fail" if apart > CLOCK_FAIL else "warn", f"the API's clock is {seconds:+.0f} s from ours", fix
    )


def judge_mlkem(available: bool) -> Check:
    if available:
        return Check("mlkem", "ok", "ML-KEM-768 is there")
    return Check(
        "mlkem", "fail", "Python's cryptography has no ML-KEM", "Install the release that support-tunnel names."
    )


_FIT: Final[Mapping[str, Callable[[Mapping[str, str]], Check]]] = {
    "device.root": _root,
    "device.run": _memory,
    "device.missing": _programs,
    "device.systemd": _systemd,
    "device.wireguard": _wireguard,
    "device.ipv6": _ipv6,
    "device.kex": _openssh,
}
"""What a session cannot be without, by the code of the error that says so."""
