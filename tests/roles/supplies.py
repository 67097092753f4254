"""What a host without a way out is given in place of the internet: a Debian repository and a wheelhouse, fetched once.

Both come from the mirror and the index that this machine itself is set up with, and only what is missing in the image.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

from support_tunnel.adapters.local_cloud.images import CACHE, debian_13
from support_tunnel.adapters.local_cloud.records import locked

__all__ = ["debian_repository", "wheelhouse"]

ROOT = Path(__file__).parents[2]
PACKAGES = ("nginx", "python3-venv")
PYTHON = "3.13"
"""Of Debian 13."""
FOREIGN = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}


def debian_repository() -> Path:
    """A flat repository with what `PACKAGES` need beyond the image, to be bound into a node and named as `file:`."""
    return _made("debian", [debian_13().name, *PACKAGES], _fetch_packages)


def wheelhouse() -> Path:
    """Wheels of requirements/api.txt for the node's Python, each with the hash that is written there."""
    return _made("wheels", [(ROOT / "requirements" / "api.txt").read_text(), PYTHON], _fetch_wheels)


def _made(kind: str, recipe: list[str], fetch: object) -> Path:
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
    ready = CACHE.parent / "supplies" / f"{kind}-{digest}"
    ready.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with locked(ready.parent):
        if not ready.is_dir():
            building = ready.with_suffix(".new")
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir(mode=0o755)
            assert callable(fetch)
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


def _fetch_wheels(folder: Path) -> None:
    # pip decides markers by the Python that runs it, so they are decided here.
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(_for_the_node((ROOT / "requirements" / "api.txt").read_text())))
    platforms = [f"--platform=manylinux{kind}_x86_64" for kind in ("2014", "_2_17", "_2_28", "_2_34")]
    _run(
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--require-hashes", "--only-binary=:all:", f"--python-version={PYTHON}", *platforms, "-d", folder, "-r", wanted,
    )  # fmt: skip
    wanted.unlink()


def _for_the_node(requirements: str) -> list[str]:
    entries = requirements.replace("\\\n", " ").splitlines()
    kept = []
    for entry in entries:
        words, *hashes = entry.split("#")[0].split("--hash=")
        if not words.strip():
            continue
        wanted = Requirement(words.strip())
        if wanted.marker is None or wanted.marker.evaluate(FOREIGN):
            kept.append(" ".join([f"{wanted.name}{wanted.specifier}", *(f"--hash={one.strip()}" for one in hashes)]))
    return kept
