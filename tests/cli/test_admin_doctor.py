"""`fab doctor` as a program, with one thing broken at a time: that check fails, no other does, and a fix is named."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest
import yaml

from tests.cli.test_for_programs import promised
from tests.cli.test_stranger import Run, answering, fab
from tests.connect_proxy import connect_proxy

__all__ = ["answering", "fab"]


def troubles(fab: Run, inventory: Path, folder: Path, **changes: object) -> dict[str, str]:
    """By check: its state, for those that are not ok."""
    settings = yaml.safe_load(inventory.read_text())
    settings["support_tunnel"] |= changes
    inventory.write_text(yaml.safe_dump(settings))
    ended = fab("doctor", "--json", inventory=inventory)
    rows = json.loads(ended.stdout.splitlines()[0])
    assert {key for row in rows for key in row} == promised()["doctor"]
    assert [row for row in rows if bool(row["fix"]) is (row["state"] == "ok")] == []
    found = {row["check"]: row["state"] for row in rows if row["state"] != "ok"}
    assert ended.status == (1 if "fail" in found.values() else 0), ended.stderr
    token = (folder / "token").read_text().strip()
    assert not token or token not in ended.stdout + ended.stderr
    return {name: state for name, state in found.items() if name != "root"}  # who runs the tests


@pytest.fixture
def well(answering: Path, tmp_path: Path) -> Path:
    for name in ("token", "signer"):
        (tmp_path / name).chmod(0o600)
    return answering


def test_all_is_well(fab: Run, well: Path, tmp_path: Path) -> None:
    assert troubles(fab, well, tmp_path) == {}


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"api": "https://127.0.0.1:1"}, "api"),
        ({"api_fingerprint": "00" * 32}, "api"),
        ({"api": ""}, "access"),
        ({"signer": "/nonexistent/signer"}, "signer"),
        ({"runtime": "/etc/support_tunnel"}, "vault"),
        ({"cloud": "far"}, "config"),
        ({"proxy": "http://127.0.0.1:1"}, "proxy"),
        ({"proxy": "proxy.example"}, "proxy"),
    ],
)
def test_a_wrong_setting_is_named(
    fab: Run, well: Path, tmp_path: Path, changes: dict[str, object], failing: str
) -> None:
    assert troubles(fab, well, tmp_path, **changes) == {failing: "fail"}


def test_a_token_that_others_may_read(fab: Run, well: Path, tmp_path: Path) -> None:
    (tmp_path / "token").chmod(0o644)
    assert troubles(fab, well, tmp_path) == {"token": "fail"}


def test_a_token_that_the_api_does_not_take(fab: Run, well: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("A" * 43)
    assert troubles(fab, well, tmp_path) == {"access": "fail"}


def test_a_signer_that_is_no_key(fab: Run, well: Path, tmp_path: Path) -> None:
    (tmp_path / "signer").write_text("not a key")
    assert troubles(fab, well, tmp_path) == {"signer": "fail"}


def test_through_a_proxy_with_a_password(fab: Run, well: Path, tmp_path: Path) -> None:
    password = secrets.token_hex(8)
    (tmp_path / "password").write_text(password)
    with connect_proxy(login=f"ann:{password}") as proxy:
        by_proxy = {
            "proxy": proxy.address.replace("://", "://ann@"),
            "proxy_password": f"cmd:cat {tmp_path / 'password'}",
        }
        assert troubles(fab, well, tmp_path, **by_proxy) == {}
        assert len(proxy.heads) == 2  # its look, and the list that needs the token
        (tmp_path / "password").write_text("another")
        assert troubles(fab, well, tmp_path) == {"proxy": "fail"}
        assert password not in fab("settings", inventory=well).stdout
    assert fab("list", inventory=well).status == 6
