"""Releases in folders of their own with a link to the one in use: `ROOT/releases/NAME` and `ROOT/current`.

For devices that have no dpkg. A session goes on with the release it was begun with, which stays where it is; nothing is ever
removed here.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.adapters.wheel import Wheel
from support_tunnel.core.errors import HostError

__all__ = ["install_release", "release_root"]

_COMMAND = "bin/support-tunnel"
_DONE = "installed"


def release_root(prefix: Path) -> Path | None:
    """The folder of which `prefix`, a virtual environment, is the release in use; None where that is no such place."""
    root = prefix.parent.parent
    link = root / "current"
    in_use = prefix.parent.name == "releases" and link.is_symlink() and link.resolve() == prefix.resolve()
    return root if in_use else None


def install_release(root: Path, wheel: Wheel, *, wheels: str = "") -> Path:
    """Make the release's folder, see it start, and only then switch the link. The same again only switches.

    `wheels` is a folder of the libraries' wheels, for a device that reaches no package index. Raises HostError
    `upgrade.failed`: the release in use is then still the one it was.
    """
    name = f"{wheel.version}-{hashlib.sha256(wheel.content).hexdigest()[:8]}"
    folder = root / "releases" / name
    try:
        if not (folder / _DONE).exists():
            _make(folder, wheel, wheels)
        processes.run([folder / _COMMAND, "--version"], timeout=60)
    except HostError as error:
        raise HostError(
            "upgrade.failed",
            f"the release could not be made ready: {error.message}",
            next_step="The release in use was not touched. Mend this and run the same again.",
        ) from error
    fresh = root / f"current.{secrets.token_hex(4)}"
    fresh.symlink_to(Path("releases") / name)
    fresh.replace(root / "current")
    return folder


def _make(folder: Path, wheel: Wheel, wheels: str) -> None:
    before = os.umask(0o022)
    try:
        processes.run([sys.executable, "-m", "venv", "--clear", folder], timeout=120)
        (folder / wheel.name).write_bytes(wheel.content)
        (folder / "requirements.txt").write_text(wheel.requirements("device"))
        pip: list[str | Path] = [
            folder / "bin/python",
            "-m",
            "pip",
            "--quiet",
            "--disable-pip-version-check",
            "--no-cache-dir",
            "install",
        ]
        source = ["--no-index", "--find-links", wheels] if wheels else []
        # Wheels only: to build a source archive is to run its author's program, as root.
        wanted: list[str | Path] = ["--require-hashes", "--only-binary=:all:", "-r", folder / "requirements.txt"]
        processes.run([*pip, *source, *wanted], timeout=900)
        processes.run([*pip, "--no-index", "--no-deps", folder / wheel.name], timeout=120)
        (folder / _DONE).touch()  # last: what was cut short is begun anew
    finally:
        os.umask(before)
