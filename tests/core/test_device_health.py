"""A device with one thing broken at a time: the check that names it fails, no other does, and it says what to do."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from support_tunnel.core.device_health import judge_clock, judge_host, judge_mlkem, require_fit
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.desired import probes

GOOD = {
    "uid": "0",
    "systemd": "running",
    "systemd-version": "systemd 252 (252.39-1~deb12u2)",
    "ssh-version": "OpenSSH_9.2p1 Debian-2+deb12u5, OpenSSL 3.0.15",
    "kex": "curve25519-sha256\nsntrup761x25519-sha512@openssh.com",
    "wireguard": "kernel",
    "ipv6": "on",
    "run": "tmpfs",
    "run-writable": "yes",
    "log-free": "1000000",
    "mtu": "1500\n9000",
}


def troubles(**changes: str | None) -> dict[str, str]:
    found = {**GOOD, **{key.replace("_", "-"): value for key, value in changes.items() if value is not None}}
    for key, value in changes.items():
        if value is None:
            del found[key.replace("_", "-")]
    checks = judge_host(found)
    assert all(bool(one.fix) is (one.state != "ok") for one in checks)
    assert len({one.name for one in checks}) == len(checks)
    return {one.name: one.state for one in checks if one.state != "ok"}


def test_a_good_device_has_no_trouble() -> None:
    assert troubles() == {}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"uid": "1000"}, {"root": "fail"}),
        ({"missing": "sshd"}, {"programs": "fail"}),
        ({"missing": "ip\nnft\nwg\npgrep\npkill\nsshd\nuseradd\nsystemctl\nsystemd-run"}, {"programs": "fail"}),
        ({"systemd": None}, {"systemd": "fail"}),
        ({"systemd_version": "systemd 232"}, {"systemd": "fail"}),
        ({"systemd_version": None}, {"systemd": "fail"}),
        ({"ssh_version": "OpenSSH_8.4p1", "kex": "curve25519-sha256"}, {"openssh": "fail"}),
        ({"kex": None, "ssh_version": None}, {"openssh": "fail"}),
        ({"wireguard": None}, {"wireguard": "fail"}),
        ({"wireguard": "go"}, {"wireguard": "fail"}),
        ({"wireguard": "go", "tun": "there"}, {}),
        ({"ipv6": None}, {"ipv6": "fail"}),
        ({"run": "ext2/ext3"}, {"memory": "fail"}),
        ({"run_writable": None}, {"memory": "fail"}),
        ({"log_free": "0"}, {"disk": "fail"}),
        ({"log_free": "20000"}, {"disk": "warn"}),
        ({"firewall": "ufw"}, {"firewall": "warn"}),
        ({"firewall": "ufw\nfirewalld"}, {"firewall": "warn"}),
        ({"mtu": None}, {"network": "fail"}),
        ({"mtu": "1500\n1300"}, {"network": "warn"}),
    ],
)
def test_what_is_broken_is_named_and_nothing_else(changes: dict[str, str | None], named: dict[str, str]) -> None:
    assert troubles(**changes) == named


def test_every_program_that_is_looked_for_has_a_package() -> None:
    looked_for = re.findall(r"^for program in (.*); do$", probes.capabilities().reveal(), re.MULTILINE)[0].split()
    (programs,) = (one for one in judge_host({**GOOD, "missing": "\n".join(looked_for)}) if one.name == "programs")
    assert "openssh-server" in programs.fix
    assert "wireguard-tools" in programs.fix


@pytest.mark.parametrize(
    ("seconds", "state"), [(0, "ok"), (-29, "ok"), (31, "warn"), (-299, "warn"), (301, "fail"), (-9999, "fail")]
)
def test_clocks_apart(seconds: int, state: str) -> None:
    assert judge_clock(timedelta(seconds=seconds)).state == state


def test_no_mlkem() -> None:
    assert (judge_mlkem(True).state, judge_mlkem(False).state) == ("ok", "fail")


@pytest.mark.parametrize(
    ("without", "code", "status"),
    [
        ("uid", "device.root", 2),
        ("systemd", "device.systemd", 6),
        ("wireguard", "device.wireguard", 6),
        ("ipv6", "device.ipv6", 6),
        ("run", "device.run", 6),
        ("run-writable", "device.run", 6),
        ("kex", "device.kex", 6),
    ],
)
def test_what_is_missing_refuses_a_request_by_its_own_code(without: str, code: str, status: int) -> None:
    require_fit(GOOD)
    with pytest.raises(SupportTunnelError) as refused:
        require_fit({key: value for key, value in GOOD.items() if key != without})
    assert (refused.value.code, refused.value.exit_code) == (code, status)
    assert refused.value.next_step
