"""`fab doctor` as a program, with one thing broken at a time: that check fails, no other does, and a fix is named."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn.server
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.core import ssh_key
from support_tunnel.core.secret import Secret
from support_tunnel.testing.certifying import certificate
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


def test_a_standing_server_that_is_named_in_part_and_no_node_of_ours(fab: Run, well: Path, tmp_path: Path) -> None:
    found = troubles(fab, well, tmp_path, headscale_server="https://help.example", own_tailscale="/nonexistent")
    assert found == {"own node": "fail", "standing": "fail"}


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


def test_no_token(fab: Run, well: Path, tmp_path: Path) -> None:
    elsewhere = f"file:{tmp_path / 'nowhere'}"
    assert troubles(fab, well, tmp_path, token=elsewhere) == {"token": "fail", "access": "fail"}


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_clock_of_the_api_is_off(
    fab: Run, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The API is a thread of this process, and `fab` is one of its own: only the API's clock is shifted."""
    apart = SimpleNamespace(**{**vars(time), "time": lambda: time.time() + hours * 3600})
    monkeypatch.setattr(uvicorn.server, "time", apart)
    assert troubles(fab, request.getfixturevalue("well"), tmp_path) == {"clock": "fail"}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of this machine, one folder that a test may take some out of."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in (Path("/usr/sbin"), Path("/usr/bin")):
        for program in place.iterdir():
            link = folder / program.name
            if not link.is_symlink():
                link.symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_there_is_no_ssh(fab: Run, well: Path, programs: Path, tmp_path: Path) -> None:
    (programs / "ssh").unlink()
    assert troubles(fab, well, tmp_path) == {"ssh": "fail"}


def test_an_old_openssh(fab: Run, well: Path, programs: Path, tmp_path: Path) -> None:
    """What `ssh -Q kex` of 8.4 lists, as far as it matters."""
    (programs / "ssh").unlink()
    (programs / "ssh").write_text("#!/bin/sh\nprintf '%s\\n' curve25519-sha256 diffie-hellman-group14-sha256\n")
    (programs / "ssh").chmod(0o755)
    assert troubles(fab, well, tmp_path) == {"ssh": "fail"}


@pytest.mark.parametrize("kind", ["folder", "gone", "locked", "half"])
def test_a_key_that_cannot_be_read(fab: Run, well: Path, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "signer"
    text = file.read_text()
    file.unlink()
    if kind == "folder":
        file.mkdir(mode=0o700)
    elif kind == "locked":
        made: list[str | Path] = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", file]
        assert processes.run(made).status == 0
    elif kind == "half":
        file.write_text(text[: len(text) // 2])
        file.chmod(0o600)
    assert troubles(fab, well, tmp_path) == {"signer": "fail"}


@pytest.mark.parametrize(
    ("key", "days", "states"), [(0, 1, {}), (0, -1, {"signer": "fail"}), (1, 1, {"signer": "fail"})]
)
def test_a_certificate_beside_the_key_that_expired_or_is_anothers(
    fab: Run, well: Path, tmp_path: Path, key: int, days: int, states: dict[str, str]
) -> None:
    own = ssh_key.load_private(Secret((tmp_path / "signer").read_text())).public_key()
    now = SystemClock().now()
    line = certificate(
        Ed25519PrivateKey.generate(),
        public_key=(ssh_key.public_line(own), ssh_key.new_keypair()[1])[key],
        principals=("support-tunnel-signer",),
        key_id="ada",
        after=now - timedelta(days=2),
        before=now + timedelta(days=days),
    )
    (tmp_path / "signer-cert.pub").write_text(f"{line} ada\n")
    assert troubles(fab, well, tmp_path) == states


def test_a_program_for_session_certificates_that_is_none(fab: Run, well: Path, tmp_path: Path) -> None:
    assert troubles(fab, well, tmp_path, session_certificate="ssh-keygen -s ca") == {"config": "fail"}


def of_servers(folder: Path, **changes: str) -> dict[str, object]:
    program = folder / "headscale"
    program.write_text("a program")
    digest = hashlib.sha256(b"a program").hexdigest()
    return {"headscale": str(program), "headscale_sha256": digest, "tailscale": "/opt/tailscale", **changes}


def test_the_programs_of_tunnel_servers(fab: Run, well: Path, tmp_path: Path) -> None:
    assert troubles(fab, well, tmp_path, **of_servers(tmp_path)) == {}


@pytest.mark.parametrize(
    "changes",
    [{"headscale": "/nonexistent"}, {"headscale_sha256": "ab" * 32}, {"headscale_sha256": "abc"}, {"tailscale": ""}],
    ids=["no program", "another program", "no digest", "half of it"],
)
def test_what_is_wrong_with_the_programs_of_tunnel_servers_is_named(
    fab: Run, well: Path, tmp_path: Path, changes: dict[str, str]
) -> None:
    assert troubles(fab, well, tmp_path, **of_servers(tmp_path, **changes)) == {"headscale": "fail"}
