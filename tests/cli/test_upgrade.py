"""`upgrade`: only what the vendor vouched for, whole or not at all, and the release before stays where it is.

The Debian way is in tests/onebox/test_debian_package.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.release_folders import install_release
from support_tunnel.adapters.vouched_file import read_vouched
from support_tunnel.adapters.wheel import Wheel, build_wheel, check_name, read_wheel
from support_tunnel.cli import paths
from support_tunnel.cli.called import as_called
from support_tunnel.cli.device.upgrade_task import place_of
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.ports import Completed
from tests.releases import NEWER, OLDER, checkout_as
from tests.roles.supplies import HERE, wheelhouse

# --- what is let in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sha256", "code"),
    [
        ("", "upgrade.sha256"),
        ("0" * 63, "upgrade.sha256"),
        ("g" * 64, "upgrade.sha256"),
        ("0" * 64, "upgrade.checksum"),
        (hashlib.sha256(b"the release").hexdigest()[:-1] + "0", "upgrade.checksum"),
    ],
)
def test_a_file_without_its_right_sum_is_refused(tmp_path: Path, sha256: str, code: str) -> None:
    file = tmp_path / "release.deb"
    file.write_bytes(b"the release")
    with pytest.raises(UsageError) as caught:
        read_vouched(file, sha256)
    assert caught.value.code == code
    right = hashlib.sha256(b"the release").hexdigest()
    assert read_vouched(file, f" {right.upper()}\n") == b"the release"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_vouched(tmp_path / "none.deb", "0" * 64)
    assert (caught.value.code, "none.deb" in caught.value.message) == ("usage.file", True)


@pytest.mark.parametrize(
    "name",
    ["support_tunnel-0.1.0.tar.gz", "other-0.1.0-py3-none-any.whl", "-rf.whl", "support_tunnel-0.1.0-py3-none-any.whl/x", ""],
)  # fmt: skip
def test_a_file_by_another_name_is_no_wheel_of_ours(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert caught.value.code == "wheel.ours"


def test_a_wheel_brings_its_own_lock(tmp_path: Path) -> None:
    built = build_wheel(paths.REPOSITORY)
    for extra in ("device", "admin", "api"):
        assert built.requirements(extra) == (paths.REPOSITORY / "requirements" / f"{extra}.txt").read_text()
    with pytest.raises(UsageError):
        Wheel(built.name, built.content[:2000]).requirements("device")
    file = tmp_path / built.name
    file.write_bytes(built.content)
    assert read_wheel(file) == built


# --- how it came here -----------------------------------------------------------------------------------------------


def test_each_place_names_its_own_way(tmp_path: Path) -> None:
    def told(library: Path, prefix: Path, *, checkout: bool = False) -> tuple[str, str]:
        place = place_of(library, prefix, checkout=checkout)
        return place.kind, place.command

    assert told(tmp_path, tmp_path, checkout=True)[1].startswith(f"git -C {tmp_path} pull")
    assert told(Path("/usr/lib/support-tunnel"), Path("/usr"))[0] == "Debian package"
    assert told(tmp_path, tmp_path)[0] == "virtual environment"
    (tmp_path / "pipx_metadata.json").touch()
    assert told(tmp_path, tmp_path)[1].startswith("pipx install --force")
    first, second = tmp_path / "releases/1", tmp_path / "releases/2"
    for folder in (first, second):
        folder.mkdir(parents=True)
    assert told(first, first)[0] == "virtual environment"
    (tmp_path / "current").symlink_to("releases/1")
    assert told(first, first)[0] == "release folder"
    assert told(second, second)[0] == "virtual environment"


def test_a_checkout_is_not_touched(tmp_path: Path) -> None:
    inv = Path(sys.executable).with_name("inv")
    ended = processes.run(
        ["env", "-C", paths.REPOSITORY, inv, "upgrade", "--file", tmp_path / "x", "--json"], timeout=60, accept=None
    )
    assert ended.status == 4
    assert json.loads(ended.stdout)["error"]["next_step"].startswith("git -C")


def test_messages_name_what_can_be_typed() -> None:
    said = "Run `inv stop`, `fab list`, fab key.create, `fab api.token.list` or fab api.deploy; invoke and fabric stay."
    assert as_called(said, checkout=True) == said
    assert as_called(said, checkout=False) == (
        "Run `support-tunnel stop`, `support-tunnel-admin list`, support-tunnel-admin key.create, "
        "`support-tunnel-api token.list` or support-tunnel-admin api.deploy; invoke and fabric stay."
    )


# --- release folders ------------------------------------------------------------------------------------------------


def test_a_release_folder_is_made_whole_before_the_link_moves(tmp_path: Path) -> None:
    def release(version: str) -> tuple[Path, str]:
        (tmp_path / version).mkdir()
        built = build_wheel(checkout_as(version, tmp_path / version))
        (tmp_path / built.name).write_bytes(built.content)
        return tmp_path / built.name, hashlib.sha256(built.content).hexdigest()

    def tool(*words: str | Path) -> Completed:
        return processes.run([root / "current/bin/support-tunnel", *words], timeout=300, accept=None)

    root, house = tmp_path / "root", wheelhouse("device", HERE)
    (older, older_sum), (newer, newer_sum) = release(OLDER), release(NEWER)
    first = root / "releases/first"
    processes.run([sys.executable, "-m", "venv", first], timeout=120)  # as docs/packaging.md says
    pip: list[str | Path] = [
        first / "bin/pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-compile",
        "--find-links",
        house,
    ]
    processes.run([*pip, f"{older}[device]"], timeout=120)
    (root / "current").symlink_to("releases/first")
    assert "from a release folder" in tool("upgrade").stdout

    wheels = ("--wheels", str(house))
    refused = tool("upgrade", "--file", newer, "--sha256", older_sum, *wheels)
    assert (refused.status, "upgrade.checksum" in refused.stderr) == (2, True)
    (tmp_path / "nothing").mkdir()
    failed = tool("upgrade", "--file", newer, "--sha256", newer_sum, "--wheels", tmp_path / "nothing")
    assert (failed.status, "upgrade.failed" in failed.stderr) == (6, True)
    assert (root / "current").resolve() == first

    upgraded = tool("upgrade", "--file", newer, "--sha256", newer_sum, *wheels, "--json")
    assert json.loads(upgraded.stdout) == {"before": OLDER, "version": NEWER}, upgraded.stderr
    assert tool("--version").stdout.strip() == f"support-tunnel {NEWER}"
    # What runs from the release before goes on doing so, to its end.
    ended = processes.run([first / "bin/support-tunnel", "--version"], timeout=60)
    assert ended.stdout.strip() == f"support-tunnel {OLDER}"
    assert sorted(path.name for path in root.iterdir()) == ["current", "releases"]

    back = tool("upgrade", "--file", older, "--sha256", older_sum, *wheels)
    assert (back.status, "upgrade.older" in back.stderr) == (2, True)
    processes.run(["ln", "-sfn", "releases/first", root / "current"])
    assert tool("--version").stdout.strip() == f"support-tunnel {OLDER}"


def test_a_library_that_would_have_to_be_built_is_refused(tmp_path: Path) -> None:
    """To build it is to run its author's program as root, though its hash is right and no index is asked."""
    told = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: eager\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "eager"\nbackend-path = ["."]\n',
        "eager.py": f"open({str(tmp_path / 'ran')!r}, 'w').close()\n",
    }
    house = tmp_path / "house"
    house.mkdir()
    with tarfile.open(house / "eager-1.0.tar.gz", "w:gz") as archive:
        for name, text in told.items():
            about = tarfile.TarInfo(f"eager-1.0/{name}")
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text.encode()))
    digest = hashlib.sha256((house / "eager-1.0.tar.gz").read_bytes()).hexdigest()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("support_tunnel/shipped/requirements/device.txt", f"eager==1.0 --hash=sha256:{digest}\n")
    wheel = Wheel("support_tunnel-9.9-py3-none-any.whl", content.getvalue())
    with pytest.raises(HostError) as caught:
        install_release(tmp_path / "root", wheel, wheels=str(house))
    assert caught.value.code == "upgrade.failed"
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "root/current").exists()
