"""`fab doctor CLOUD` as a program, over HTTP to a cloud that a test plays; what each cloud is asked is in tests/clouds/test_every_doctor.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_for_programs import promised
from tests.cli.test_stranger import Run, fab, inventory
from tests.clouds.digitalocean import DigitalOcean
from tests.clouds.gate import Gate, gate

__all__ = ["fab"]


@pytest.fixture
def played() -> Iterator[Gate]:
    with gate(DigitalOcean()) as made:
        yield made


@pytest.fixture
def well(played: Gate, tmp_path: Path) -> Path:
    (tmp_path / "cloud-token").write_text("canary-token")
    cloud = {"token": f"file:{tmp_path / 'cloud-token'}", "region": "fra1", "endpoint": played.url}
    return inventory(tmp_path, clouds={"digitalocean": cloud}, cloud="digitalocean")


@pytest.mark.parametrize("words", [("doctor", "digitalocean"), ("doctor", "--cloud", "digitalocean")])
def test_a_line_a_check_and_what_is_not_known_is_no_failure(fab: Run, well: Path, words: tuple[str, ...]) -> None:
    ended = fab(*words, inventory=well)
    assert ended.status == 0, ended.stderr
    assert "ok       credentials: the cloud accepts them\n" in ended.stdout
    assert "unknown  permission droplet:create: not known: " in ended.stdout
    assert "canary" not in ended.stdout + ended.stderr


def test_what_fails_is_named_and_its_fix(fab: Run, played: Gate, well: Path) -> None:
    assert isinstance(played.provider, DigitalOcean)
    played.provider.lacks = {"firewall:read"}
    ended = fab("doctor", "digitalocean", "--json", inventory=well)
    assert ended.status == 1
    rows = json.loads(ended.stdout.splitlines()[0])
    assert {key for row in rows for key in row} == promised()["doctor"]
    (failed,) = [row for row in rows if row["state"] == "fail"]
    assert failed["check"] == "permission firewall:read"
    assert "firewall:read" in failed["fix"]
    assert "the cloud digitalocean would launch no tunnel server: permission firewall:read" in ended.stderr
    assert played.provider.everything() == played.provider.walls() == []


def test_its_user_data_is_measured_as_it_would_be_sent(fab: Run, well: Path) -> None:
    ended = fab("doctor", "digitalocean", "--json", inventory=well)
    (row,) = [row for row in json.loads(ended.stdout.splitlines()[0]) if row["check"] == "user-data"]
    size, of = row["said"].removesuffix(" bytes").split(" of ")
    assert 1_000 < int(size) < int(of) == 65_536


def test_a_cloud_that_the_inventory_does_not_have(fab: Run, well: Path) -> None:
    ended = fab("doctor", "--cloud", "mars", inventory=well)
    assert ended.status == 2
    assert "config.cloud" in ended.stderr
    assert "digitalocean" in ended.stderr


def test_this_machine_as_a_cloud(fab: Run, tmp_path: Path) -> None:
    ended = fab("doctor", "local", "--json", inventory=inventory(tmp_path))
    assert ended.status == 0, ended.stderr
    found = {row["check"]: row["state"] for row in json.loads(ended.stdout.splitlines()[0])}
    assert found.pop("root", "warn") == "warn"  # who runs the tests
    assert found == {"answer": "ok", "user-data": "ok"}
