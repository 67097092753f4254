"""docs/ci.md: both systems run the same commands, and those that need no node are run here (the others: tests/onebox)."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from support_tunnel.cli import paths
from support_tunnel.cli.admin.inventory import read_inventory
from support_tunnel.cli.device.settings import load_policy
from support_tunnel.core.scope import Scope
from support_tunnel.testing.clock import ManualClock
from tests.clouds.gate import Fault, gate
from tests.clouds.hetzner import Hetzner
from tests.clouds.test_every_cloud import reach, spec
from tests.pipelines import block, checkout, jobs, run_job

RUN_ELSEWHERE = {"rehearse": "tests/onebox/test_rehearsal.py", "support": "tests/onebox/test_admin_verbs.py"}


def test_both_systems_run_the_same() -> None:
    both = jobs()
    assert both["GitHub"] == both["GitLab"]
    assert both["GitHub"].keys() == {"drift", "sweep", *RUN_ELSEWHERE}
    for job, test in RUN_ELSEWHERE.items():
        assert f'jobs()["GitLab"]["{job}"]' in (paths.REPOSITORY / test).read_text(), "nobody runs this job"


@pytest.mark.skipif(os.geteuid() != 0, reason="the role's files are root's, also when they are only looked at")
def test_the_drift_gate_finds_drift_and_changes_nothing(tmp_path: Path) -> None:
    """On this machine, which has no settings of a device."""
    settings = Path("/etc/support_tunnel")
    before = settings.exists()
    where = checkout(tmp_path / "checkout")
    host = {"ansible_connection": "local", "device_settings_api": "https://support.example.net"}
    (where / "fleet.yml").write_text(yaml.safe_dump({"fleet": {"hosts": {"till-3": host}}}))
    (ended,) = run_job(jobs()["GitLab"]["drift"], where, timeout=60, env={"HOME": str(tmp_path)})
    assert (ended.status, ended.stdout) == (2, "")
    assert "Drift: 1 of 1 hosts would change: till-3" in ended.stderr
    found = json.loads((where / "drift.json").read_text())
    assert (found["check"], found["hosts"]["till-3"]["status"]) == (True, "changed")
    assert settings.exists() == before


@pytest.mark.parametrize("well", [True, False], ids=["well", "the cloud does not answer"])
def test_the_sweep_ends_what_is_over_or_says_that_it_could_not(tmp_path: Path, well: bool) -> None:
    where = checkout(tmp_path / "checkout")
    cloud = yaml.safe_load(block("The clouds to be swept", "yaml"))
    provider = Hetzner()
    with gate(provider) as played:
        over = replace(spec(), tags={**spec().tags, "st-expires": "1000000000"})
        ours, foreign = reach(played, ManualClock()).create(over), provider.foreign("web-1")
        cloud["support_tunnel"]["clouds"]["hetzner"]["endpoint"] = played.url
        (where / "sweep.yml").write_text(yaml.safe_dump(cloud))
        if not well:
            played.faults = [Fault(provider.lists, provider.refusal("auth"), times=10_000)]
        env = {"HOME": str(tmp_path), "SUPPORT_TUNNEL_INVENTORY": "sweep.yml", "CLOUD_TOKEN": "canary-token"}
        (ended,) = run_job(jobs()["GitLab"]["sweep"], where, timeout=120, env=env)
    assert (ended.status == 0) == well, ended.stderr
    assert provider.everything() == ([foreign] if well else [ours.id, foreign])
    said = (where / "sweep.json").read_text()
    assert (ours.name if well else "hetzner") in said
    assert "canary-token" not in said + ended.stderr


def test_the_fleet_of_the_page_is_an_inventory(tmp_path: Path) -> None:
    (tmp_path / "fleet.yml").write_text(block("The fleet", "yaml"))
    (host,) = read_inventory(tmp_path / "fleet.yml").select("fleet")
    assert (host.name, host.variables["ansible_host"]) == ("till-3", "192.0.2.3")


def test_the_policy_of_the_page_is_one(tmp_path: Path) -> None:
    text = block("Consent", "toml")
    file = tmp_path / "consent-policy.toml"
    file.write_text(text)
    file.chmod(0o600)
    policy = load_policy(policy=file)
    assert policy is not None
    (rule,) = policy.rules
    assert (rule.scope, rule.max_ttl_minutes) == (Scope("shell", ports=(8080,), files=True), 30)
    assert rule.signer == tomllib.loads(text)["allow"][0]["signer"]
