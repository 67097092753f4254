"""The live test does what it says, shown on a cloud that a test plays: one server, below its cap, gone twice over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.clouds.gate import gate
from tests.clouds.hetzner import Hetzner

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("cap", "made"), [("0.10", 1), ("0.001", 0)])
def test_it_makes_one_server_below_its_cap_and_none_above(tmp_path: Path, cap: str, made: int) -> None:
    token, inventory = tmp_path / "token", tmp_path / "all.yml"
    token.write_text("canary-token")
    with gate(Hetzner()) as played:
        cloud = {"token": f"file:{token}", "region": "fsn1", "endpoint": played.url}
        inventory.write_text(yaml.safe_dump({"support_tunnel": {"cloud": "hetzner", "clouds": {"hetzner": cloud}}}))
        told = {
            "SUPPORT_TUNNEL_INVENTORY": str(inventory),
            "SUPPORT_TUNNEL_LIVE": "hetzner",
            "SUPPORT_TUNNEL_LIVE_CAP": cap,
        }
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "live", "tests/live"],
            cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **told}, capture_output=True, text=True, timeout=200,
            check=False,
        )  # fmt: skip
        assert ("1 passed" in ran.stdout) == bool(made), ran.stdout
        assert ("above the cap" in ran.stdout) != bool(made)
        sent = [json.loads(request.body) for request in played.log if played.provider.creates(request)]
        assert len(sent) == made
        assert ["support-tunnel-deadline.timer" in one["user_data"] for one in sent] == [True] * made, "it ends itself"
        assert played.provider.everything() == played.provider.walls() == []
