"""`fab api.*` and `support-tunnel-api` as an operator types them: what is refused, and that backup and restore are reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from support_tunnel.adapters.known_host import known_host_key
from support_tunnel.adapters.wheel import build_wheel
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ssh_key import new_keypair

ROOT = Path(__file__).parents[2]
HOST_PROGRAM = "from support_tunnel.cli.api.program import main; main()"


def fab(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-m", "fabric", *words], home)


def on_the_host(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-c", HOST_PROGRAM, *words], home)


def _run(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HOME": str(home), "SUPPORT_TUNNEL_API_STATE": str(home / "state")}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment, check=False)


def test_tokens_survive_backup_and_restore_through_either_program(tmp_path: Path) -> None:
    token = on_the_host("token.create", "--name", "Ann", home=tmp_path).stdout.strip()
    assert len(token) == 43
    file, state = tmp_path / "backup.sqlite", tmp_path / "state"
    assert fab("api.backup", str(file), home=tmp_path).returncode == 0
    assert token.encode() not in file.read_bytes()
    live = on_the_host("restore", str(file), home=tmp_path)
    assert (live.returncode, live.stderr.splitlines()[0].startswith("Error (backup.live)")) == (2, True)
    state.rename(tmp_path / "lost")
    assert on_the_host("restore", str(file), home=tmp_path).returncode == 0
    rows = json.loads(fab("api.token.list", "--json", home=tmp_path).stdout)
    assert [row["name"] for row in rows] == ["Ann"]
    assert on_the_host("history", "--json", home=tmp_path).stdout == "[]\n"


def test_the_host_program_has_no_deploy_and_needs_no_fabric(tmp_path: Path) -> None:
    listed = on_the_host("--list", home=tmp_path).stdout
    assert "backup" in listed
    assert "deploy" not in listed
    program = (
        "import sys, support_tunnel.cli.api.program; "
        "print([name for name in ('fabric', 'paramiko', 'libcloud', 'jinja2', 'rich') if name in sys.modules])"
    )
    assert _run([sys.executable, "-c", program], tmp_path).stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--domain", "api.example.org"], "usage.tls"),
        (["--domain", "api.example.org", "--certificate", "a.pem"], "usage.tls"),
        (["--domain", "api.example.org", "--certificate", "a", "--key", "b", "--acme", "a@example.org"], "usage.tls"),
        (["--domain", "api.example.org", "--certificate", "none.pem", "--key", "none.key"], "usage.file"),
        (["--domain", "api.example.org", "--acme", "no mail address"], "usage.acme"),
        (["--domain", "api.example.org", "--acme", "a@b.example", "--database", "host=x password=y"], "secret.source"),
        (["--domain", "api.example.org", "--acme", "a@b.example", "--database-address", "10.1.0.5/8"], "usage.address"),
        (["--domain", "api.example.org; reboot", "--acme", "a@example.org"], "usage.domain"),
        (["--acme", "a@example.org"], "usage.domain"),
        (["--domain", "api.example.org", "--acme", "a@example.org"], "ssh.unknown"),
    ],
)
def test_a_wrong_deploy_is_refused_before_anything_is_built_or_reached(
    words: list[str], code: str, tmp_path: Path
) -> None:
    identity = tmp_path / "login"
    identity.write_text(new_keypair()[0].reveal())
    refused = fab("api.deploy", "host.invalid", "--identity", str(identity), *words, home=tmp_path)
    assert (refused.returncode, refused.stderr.split(":")[0]) == (2, f"Error ({code})")


@pytest.mark.parametrize("hashed", [False, True])
def test_the_key_of_a_known_host_is_found(hashed: bool, tmp_path: Path) -> None:
    known, other = new_keypair()[1], new_keypair()[1]
    file = tmp_path / "known_hosts"
    file.write_text(f"other.example {other}\n@revoked host.example {other}\nhost.example {known}\n")
    if hashed:
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True, timeout=30)
    assert known_host_key("host.example", file).split()[:2] == known.split()[:2]
    with file.open("a") as more:
        more.write(f"@revoked host.example {known}\n")
    with pytest.raises(UsageError, match=r"no ssh-ed25519 key of"):
        known_host_key("host.example", file)
    for unknown, where in (("nobody.example", file), ("host.example", tmp_path / "missing")):
        with pytest.raises(UsageError, match=r"no ssh-ed25519 key of"):
            known_host_key(unknown, where)


def test_the_same_sources_make_the_same_wheel_with_the_hosts_command() -> None:
    wheel = build_wheel(ROOT)
    assert build_wheel(ROOT) == wheel
    with zipfile.ZipFile(BytesIO(wheel.content)) as opened:
        (entries,) = [name for name in opened.namelist() if name.endswith("/entry_points.txt")]
        assert "support-tunnel-api = support_tunnel.cli.api.program:main" in opened.read(entries).decode()
