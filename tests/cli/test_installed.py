"""The device's side from a wheel, with no checkout in sight: the command, its roles and its templates are all in it."""

from __future__ import annotations

import io
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.wheel import build_wheel
from support_tunnel.cli import paths
from support_tunnel.core.ports import Completed

LOOK = """
from support_tunnel.cli import paths
from support_tunnel.desired import compile_roles
library = paths.library()
compile_roles(
    library.roles,
    ("device_settings", "device_boot"),
    {"device_settings_api": "https://a.example", "device_boot_command": "true"},
    templates=library.templates,
)
print(library.roles, library.templates, sep="\\n")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked: what an installer does with one of pure Python."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(io.BytesIO(build_wheel(paths.REPOSITORY).content)) as wheel:
        wheel.extractall(folder)
    return folder


def python(installed: Path, *words: str) -> Completed:
    env = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = ["env", "-C", "/", sys.executable, *words]
    return processes.run(argv, timeout=90, accept=None, env=env)


def test_the_command_is_there_and_lists_its_verbs(installed: Path) -> None:
    (declared,) = installed.glob("*.dist-info/entry_points.txt")
    parser = ConfigParser()
    parser.read(declared)
    module, _, function = parser["console_scripts"]["support-tunnel"].partition(":")
    ended = python(
        installed, "-c", f"import sys, {module} as m; sys.argv = ['support-tunnel', '--list']; m.{function}()"
    )
    assert ended.status == 0, ended.stderr
    for verb in ("request-and-connect-tunnel", "status", "stop", "doctor", "install", "list-all-tunnels"):
        assert f"\n  {verb} " in ended.stdout


def test_roles_and_templates_come_with_it(installed: Path) -> None:
    ended = python(installed, "-c", LOOK)
    assert ended.status == 0, ended.stderr
    for line, name in zip(ended.stdout.splitlines(), ("roles", "templates"), strict=True):
        shipped, ours = Path(line), paths.REPOSITORY / name
        assert shipped.is_relative_to(installed)
        assert files(shipped) == files(ours)


def test_it_explains_errors_by_its_own_name(installed: Path) -> None:
    run = "import sys; sys.argv = ['support-tunnel', 'explain', 'device.root']; from support_tunnel.cli.device import program as m; m.main()"
    ended = python(installed, "-c", run)
    assert (ended.status, ended.stderr) == (0, "")
    assert ended.stdout.startswith("device.root: this needs root\n  -> ")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
