"""What a host without a way out is given in place of the internet: a Debian repository and a wheelhouse, fetched once.

Both come from the mirror and the index that this machine itself is set up with, and only what is missing in the image.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support_tunnel.adapters.local_cloud.images import CACHE, debian_13
from support_tunnel.adapters.local_cloud.records import locked
from tools.wheels import fetch_wheels

__all__ = ["HERE", "debian_repository", "wheelhouse"]

ROOT = Path(__file__).parents[2]
PACKAGES = ("nginx", "python3-venv")
PYTHON = "3.13"
"""Of Debian 13."""
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def debian_repository() -> Path:
    """A flat repository with what `PACKAGES` need beyond the image, to be bound into a node and named as `file:`."""
    return _made("debian", [debian_13().name, *PACKAGES], _fetch_packages)


def wheelhouse(extra: str = "api", python: str = PYTHON, *, only: str = "") -> Path:
    """Wheels of requirements/EXTRA.txt for a Python, the node's by default, each with the hash that is written there.

    `only` is the one library of them that is wanted.
    """
    requirements = (ROOT / "requirements" / f"{extra}.txt").read_text()
    if only:
        found = re.search(rf"^{re.escape(only)}==.*\n( .*\n)*", requirements, re.MULTILINE)
        assert found, f"{only} is not in requirements/{extra}.txt"
        requirements = found[0]

    def fetch(folder: Path) -> None:
        fetch_wheels(requirements, folder, python=python)

    return _made("wheels", [requirements, python], fetch)


def _made(kind: str, recipe: list[str], fetch: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
    ready = CACHE.parent / "supplies" / f"{kind}-{digest}"
    ready.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(ready.parent):
        if not ready.is_dir():
            building = ready.with_suffix(".new")
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(mode=0o755)
            fetch(building)
            building.rename(ready)
    return ready


def _run(*argv: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, timeout=600, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _fetch_packages(folder: Path) -> None:
    image, state, cache = debian_13(), folder / "state", folder / "cache"
    for path in (state / "lists" / "partial", cache / "archives" / "partial"):
        path.mkdir(parents=True)
    options = {
        "Dir::State": state,
        "Dir::State::status": image / "var/lib/dpkg/status",
        "Dir::Cache": cache,
        "Dir::Etc::sourcelist": image / "etc/apt/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", "-y", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    _run(*apt, "update")
    _run(*apt, "--download-only", "install", *PACKAGES)
    for package in (cache / "archives").glob("*.deb"):
        package.rename(folder / package.name)
    shutil.rmtree(state)
    shutil.rmtree(cache)
    (folder / "Packages").write_text("\n".join(_index(package) for package in sorted(folder.glob("*.deb"))))


def _index(package: Path) -> str:
    content = package.read_bytes()
    fields = _run("dpkg-deb", "--field", package).rstrip()
    return (
        f"{fields}\nFilename: ./{package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    )
