"""Each extra of the wheel in an environment of its own, with exactly the locked libraries; and pipx, as the pages say it.

Offline, from a folder of wheels that is fetched once a machine; no checkout is in sight of what runs here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.wheel import Wheel, build_wheel
from support_tunnel.cli import paths
from support_tunnel.core.ports import Completed
from support_tunnel.core.ssh_key import new_keypair
from tests.roles.supplies import HERE, wheelhouse

Install = Callable[[str], Path]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = build_wheel(paths.REPOSITORY)
    file = tmp_path_factory.mktemp("wheel") / built.name
    file.write_bytes(built.content)
    return file


@pytest.fixture
def install(wheel: Path, tmp_path: Path) -> Install:
    """Returns the folder of the commands."""

    def made(extra: str) -> Path:
        venv, locked = tmp_path / extra, tmp_path / "requirements.txt"
        processes.run([sys.executable, "-m", "venv", "--without-pip", venv], timeout=120)
        pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", venv / "bin/python", "install"]
        pip += ["--quiet", "--disable-pip-version-check", "--no-compile", "--no-index"]
        locked.write_text(Wheel(wheel.name, wheel.read_bytes()).requirements(extra))
        processes.run([*pip, "--find-links", wheelhouse(extra, HERE), "--require-hashes", "-r", locked], timeout=300)
        processes.run([*pip, f"{wheel}[{extra}]"], timeout=120)  # nothing is to be found: the lock was all it takes
        return venv / "bin"

    return made


def run(home: Path, *argv: str | Path, **env: str) -> Completed:
    words = ["env", "-i", "-C", "/", f"HOME={home}", "PATH=/usr/bin:/bin", *(f"{k}={v}" for k, v in env.items())]
    return processes.run([*words, *argv], timeout=120, accept=None)


def importable(home: Path, commands: Path, *names: str) -> list[str]:
    look = f"import importlib.util as u; print(*[name for name in {names!r} if u.find_spec(name)])"
    return run(home, commands / "python", "-c", look).stdout.split()


def completed(home: Path, command: Path, typed: str) -> list[str]:
    """What bash offers after `typed` and Tab, by the script that the command itself prints."""
    script = run(home, command, "--print-completion-script", "bash").stdout
    words = typed.split(" ")
    ask = (
        f"COMP_WORDS=({typed}) COMP_CWORD={len(words) - 1}\n"
        f"_complete_{words[0]} {words[0]} {words[-1]}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    return run(home, "bash", "-c", script + ask, PATH=f"{command.parent}:/usr/bin:/bin").stdout.split()


def test_a_device(install: Install, tmp_path: Path) -> None:
    commands = install("device")
    listed = run(tmp_path, commands / "support-tunnel", "--list")
    assert (listed.status, listed.stderr) == (0, "")
    assert "request-and-connect-tunnel" in listed.stdout
    assert importable(tmp_path, commands, "fabric", "paramiko", "libcloud", "fastapi", "rich", "cryptography") == [
        "cryptography"
    ]
    assert completed(tmp_path, commands / "support-tunnel", "support-tunnel request-and") == [
        "request-and-connect-tunnel",
        "request-and-connect",
    ]
    told = run(tmp_path, commands / "support-tunnel", "upgrade")
    assert f"{commands}/pip install --upgrade" in told.stdout


def test_an_admin_needs_no_checkout(install: Install, tmp_path: Path) -> None:
    commands = install("admin")
    admin = commands / "support-tunnel-admin"
    listed = run(tmp_path, admin, "--list")
    assert (listed.status, listed.stderr) == (0, "")
    assert all(f"\n  {name} " in listed.stdout for name in ("create-tunnel-server", "key.create", "api.deploy"))
    assert completed(tmp_path, admin, "support-tunnel-admin key.") == ["key.create"]
    assert importable(tmp_path, commands, "fastapi", "fabric") == ["fabric"]

    nobody = run(tmp_path, admin, "doctor")
    assert nobody.status == 1
    assert "support-tunnel-admin key.create" in nobody.stdout + nobody.stderr
    assert run(tmp_path, admin, "key.create").status == 0
    inventory = tmp_path / ".config/support_tunnel/inventory/group_vars/all.yml"
    away = run(tmp_path, admin, "list", "--json")
    assert str(inventory) in away.stderr
    inventory.parent.mkdir(parents=True)
    inventory.write_text("support_tunnel:\n  name: Ada from Support\n")
    assert "Ada from Support" in run(tmp_path, admin, "settings").stdout
    (inventory.parents[1] / "hosts.yml").write_text("all:\n  hosts:\n    till:\n      ansible_host: 192.0.2.1\n")
    assert "inventory.identity): till:" in run(tmp_path, admin, "converge", "api", "-H", "till").stderr
    login = ("--identity", "~/.config/support_tunnel/signer_ed25519", "--host-key", new_keypair()[1])
    deployed = run(
        tmp_path, admin, "api.deploy", "host.example", "--domain", "a.example", "--acme", "a@b.example", *login
    )
    assert "deploy.wheel" in deployed.stderr


def test_an_api(install: Install, tmp_path: Path) -> None:
    commands = install("api")
    api = commands / "support-tunnel-api"
    assert "token.create" in run(tmp_path, api, "--list").stdout
    assert completed(tmp_path, api, "support-tunnel-api token.c") == ["token.create"]
    assert importable(tmp_path, commands, "fabric", "libcloud", "jinja2", "fastapi") == ["fastapi"]
    made = run(tmp_path, api, "token.create", "--name", "Ada", SUPPORT_TUNNEL_API_STATE=str(tmp_path / "state"))
    assert (made.status, len(made.stdout.strip()) >= 40) == (0, True), made.stderr


def test_pipx_installs_it(wheel: Path, tmp_path: Path) -> None:
    folders = {"PIPX_HOME": "home", "PIPX_BIN_DIR": "bin", "PIPX_MAN_DIR": "man"}
    env = {name: str(tmp_path / folder) for name, folder in folders.items()}
    houses = f"{wheelhouse('device', HERE)} {wheelhouse('dev', HERE, only='pip')}"
    env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": houses, "PIP_NO_COMPILE": "1"}
    pipx = Path(sys.executable).with_name("pipx")
    made = run(tmp_path, pipx, "install", f"{wheel}[device]", **env)
    assert made.status == 0, made.stdout + made.stderr
    command = tmp_path / "bin" / "support-tunnel"
    assert "request-and-connect-tunnel" in run(tmp_path, command, "--list").stdout
    assert "pipx install --force" in run(tmp_path, command, "upgrade").stdout
