"""A device or an admin that could use the transport headscale, with one thing broken at a time: it is named, and what to do is said."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from support_tunnel.core.device_health import Check
from support_tunnel.core.headscale_health import judge_device, judge_digest, judge_programs, judge_standing
from support_tunnel.desired.doctor_probe import tailscale_facts

FOLDER = "/opt/tailscale"
GOOD = {"tailscale": "1.102.3", "tailscaled": "1.102.3", "tun": "there"}
DIGEST = "ab" * 32

WELL = [
    judge_device("", {}),
    judge_device(FOLDER, GOOD),
    judge_device(FOLDER, GOOD | {"tailscale": "1.80.0", "tailscaled": "1.80.0"}),
    judge_programs(""),
    judge_programs(DIGEST),
    judge_digest("/opt/headscale", told=DIGEST, found=DIGEST),
]
BROKEN = [
    (judge_device(FOLDER, {}), "warn", "tailscale and tailscaled in /opt/tailscale"),
    (judge_device(FOLDER, {key: GOOD[key] for key in ("tailscale", "tun")}), "warn", "tailscaled in /opt/tailscale"),
    (judge_device(FOLDER, GOOD | {"tailscaled": "1.78.1"}), "warn", "tailscaled 1.78.1 is too old"),
    (judge_device(FOLDER, GOOD | {"tailscale": "0.99.0"}), "warn", "tailscale 0.99.0 is too old"),
    (judge_device(FOLDER, GOOD | {"tailscaled": "what?"}), "warn", "too old"),
    (judge_device(FOLDER, GOOD | {"tailscale": "1.100.0"}), "warn", "tailscaled 1.102.3"),
    (judge_device(FOLDER, {key: GOOD[key] for key in ("tailscale", "tailscaled")}), "warn", "/dev/net/tun"),
    (judge_device(FOLDER, GOOD | {"other": "yes"}), "warn", "another Tailscale"),
    (judge_programs("abc"), "fail", "headscale_sha256"),
    (judge_programs(DIGEST.upper()), "fail", "headscale_sha256"),
    (judge_digest("/opt/headscale", told=DIGEST, found=""), "fail", "cannot be read"),
    (judge_digest("/opt/headscale", told=DIGEST, found="cd" * 32), "fail", "is not the program"),
]


@pytest.mark.parametrize("check", WELL)
def test_what_is_well_needs_no_fix(check: Check) -> None:
    assert (check.name, check.state, check.fix) == ("headscale", "ok", "")


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (-29, "ok"), (31, "warn"), (-301, "fail"), (86_400, "fail")])
def test_the_clock_of_a_standing_server(seconds: int, state: str) -> None:
    check = judge_standing("0.29.2", timedelta(seconds=seconds))
    assert (check.name, check.state, bool(check.fix)) == ("standing", state, state != "ok")
    assert f"{seconds:+d} s" in check.said


@pytest.mark.parametrize(("check", "state", "said"), BROKEN)
def test_what_is_broken_is_named_with_its_fix(check: Check, state: str, said: str) -> None:
    assert (check.name, check.state) == ("headscale", state)
    assert said in check.said
    assert check.fix


def facts(folder: Path) -> dict[str, str]:
    script = tailscale_facts(str(folder)).reveal()
    ran = subprocess.run(["sh", "-s"], input=script, text=True, capture_output=True, timeout=60, check=True)
    found = dict(line.split("\t") for line in ran.stdout.splitlines())
    return {name: said for name, said in found.items() if name not in ("tun", "other")}  # this machine's own


def test_the_programs_are_asked_for_their_versions(tmp_path: Path) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    assert facts(folder) == {}
    for name, script in (("tailscale", "echo 1.102.3; echo '  commit: x'"), ("tailscaled", "exit 1")):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    assert facts(folder) == {"tailscale": "1.102.3"}
    (folder / "tailscale").chmod(0o644)
    assert facts(folder) == {}
