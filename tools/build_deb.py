"""Builds the Debian package of the device's side from this checkout, into the folder that it is given; prints its file.

    .venv/bin/python tools/build_deb.py dist/                  Debian 13 on amd64
    .venv/bin/python tools/build_deb.py --python 3.11 --machine aarch64 dist/

The libraries come as wheels, checked by the hashes of requirements/device.txt; on the device nothing is fetched, and nothing
runs but what tools/debian/ says. The same sources make the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import jinja2

from support_tunnel.adapters import processes
from support_tunnel.adapters.deb_release import COMMAND, LIBRARY, PACKAGE
from support_tunnel.adapters.wheel import Wheel, build_wheel
from support_tunnel.cli import paths
from support_tunnel.core.errors import SupportTunnelError
from support_tunnel.desired.device_units import CLEAN_UNIT
from support_tunnel.flows.device.install import systemd_words
from tools.wheels import fetch_wheels

__all__ = ["NAMED", "build_deb", "filled"]

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
MAINTAINER = "built from source <root@localhost>"
NAMED = {
    "package": PACKAGE,
    "library": str(LIBRARY),
    "command": str(COMMAND),
    "unit": CLEAN_UNIT,
    "settings": str(paths.DEVICE_CONFIG.parent),
    "helpers": str(paths.DEVICE_STATE),
    "logs": str(paths.DEVICE_LOG),
    "sessions": str(paths.DEVICE_VAULT.parent),
}
"""What the files of tools/debian/ name between two @, so that a name of ours is written once."""
# So that the same sources make the same bytes (reproducible-builds.org); zip files begin in 1980 as well.
EPOCH = 315532800


def build_deb(
    folder: Path,
    *,
    checkout: Path = ROOT,
    python: str = "3.13",
    machine: str = "x86_64",
    maintainer: str = MAINTAINER,
    wheels: Path | None = None,
) -> Path:
    """Return the package's file. `wheels` is a folder that has the libraries' already. Raises HostError."""
    wheel = build_wheel(checkout)
    with tempfile.TemporaryDirectory() as scratch:
        fetched, tree = Path(scratch, "wheels"), Path(scratch, "tree")
        if wheels is None:
            fetched.mkdir()
            fetch_wheels(wheel.requirements("device"), fetched, python=python, machine=machine)
        _fill(tree, wheel, wheels or fetched, checkout)
        named = NAMED | {
            "version": re.sub(r"(a|b|rc|\.dev)(?=\d)", r"~\1", wheel.version),  # 1.0rc1 comes before 1.0
            "architecture": ARCHITECTURES[machine],
            "maintainer": maintainer,
            "python": python,
            "next_python": f"3.{int(python.split('.')[1]) + 1}",
            "size": str(sum(file.stat().st_size for file in _files(tree)) // 1024),
        }
        _control(tree, named)
        made = folder / f"{PACKAGE}_{named['version']}_{named['architecture']}.deb"
        folder.mkdir(parents=True, exist_ok=True)
        argv: list[str | Path] = ["dpkg-deb", "--root-owner-group", "-Zzstd", "--build", tree, made]
        processes.run(argv, timeout=300, env={"SOURCE_DATE_EPOCH": str(EPOCH)})
    return made


def _fill(tree: Path, wheel: Wheel, libraries: Path, checkout: Path) -> None:
    ours = tree.with_name(wheel.name)
    ours.write_bytes(wheel.content)
    for file in (ours, *sorted(libraries.glob("*.whl"))):
        with zipfile.ZipFile(file) as packed:
            names = packed.namelist()
            if any(re.match(r"[^/]*\.data/(pure|plat)lib/", name) for name in names):
                raise SupportTunnelError("deb.wheel", f"{file.name} has to be installed, not only unpacked")
            # The rest of *.data/ is commands and manual pages of libraries, for which nobody asked.
            packed.extractall(_inside(tree, LIBRARY), [name for name in names if not re.match(r"[^/]*\.data/", name)])
    _put(_inside(tree, COMMAND), filled("support-tunnel", NAMED), mode=0o755)
    template = (
        _inside(tree, LIBRARY) / "support_tunnel/shipped/roles/device_boot/templates/clean.service.j2"
    ).read_text()
    unit = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - a unit
    command = systemd_words([str(COMMAND), "gc"])
    _put(tree / "usr/lib/systemd/system" / CLEAN_UNIT, unit.from_string(template).render(device_boot_command=command))
    completions = {
        "bash": "usr/share/bash-completion/completions/support-tunnel",
        "fish": "usr/share/fish/vendor_completions.d/support-tunnel.fish",
    }
    for shell, place in completions.items():
        argv = [sys.executable, "-m", "support_tunnel.cli.device.program", "--print-completion-script", shell]
        _put(tree / place, processes.run(argv, timeout=60, env={"PYTHONPATH": str(ROOT)}).stdout)
    _put(tree / "usr/share/doc" / PACKAGE / "copyright", (checkout / "LICENSE").read_text())


def _control(tree: Path, named: Mapping[str, str]) -> None:
    folder = tree / "DEBIAN"
    sums = [f"{hashlib.md5(file.read_bytes()).hexdigest()}  {file.relative_to(tree)}" for file in _files(tree)]  # noqa: S324 - dpkg's own format
    _put(folder / "md5sums", "\n".join(sums) + "\n")
    _put(folder / "control", filled("control.in", named))
    for name in ("postinst", "prerm", "postrm"):
        _put(folder / name, filled(name, named), mode=0o755)
    for path in (*tree.rglob("*"), tree):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (EPOCH, EPOCH))


def filled(name: str, named: Mapping[str, str]) -> str:
    """A file of tools/debian/ with what it names between two @. Raises KeyError for what nobody knows."""
    return re.sub(r"@([a-z_]+)@", lambda found: named[found[1]], (ROOT / "tools/debian" / name).read_text())


def _inside(tree: Path, path: Path) -> Path:
    return tree / path.relative_to("/")


def _put(file: Path, text: str, *, mode: int = 0o644) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in sorted(tree.rglob("*")) if path.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.13", help="of the Debian release it is for (default 3.13: Debian 13)")
    parser.add_argument("--machine", default="x86_64", choices=sorted(ARCHITECTURES))
    parser.add_argument("--maintainer", default=MAINTAINER, help="NAME <MAIL> of whoever vouches for this package")
    given = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        sys.stderr.write("dpkg-deb is missing: apt-get install dpkg\n")
        return 2
    try:
        made = build_deb(given.folder, python=given.python, machine=given.machine, maintainer=given.maintainer)
    except SupportTunnelError as error:
        sys.stderr.write(f"Error ({error.code}): {error.message}.\n")
        return error.exit_code
    sys.stdout.write(f"{made}\nsha256: {hashlib.sha256(made.read_bytes()).hexdigest()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
