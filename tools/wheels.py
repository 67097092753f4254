"""Wheels of a requirements file, for the Python and the machine of another host; every file is checked by its hash.

pip decides markers (`python_version < "3.13"`) by the Python that runs it, so they are decided here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from support_tunnel.adapters import processes

__all__ = ["fetch_wheels"]

# glibc versions that wheels are built against; Debian 11 has 2.31, Debian 12 has 2.36.
_GLIBC = ("2014", "_2_17", "_2_28", "_2_31", "_2_34")


def fetch_wheels(requirements: str, folder: Path, *, python: str, machine: str = "x86_64") -> None:
    """Put them into `folder`. `python` is like "3.13". Raises HostError when one cannot be had, or has another hash."""
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(_for_python(requirements, python)))
    processes.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--only-binary=:all:", f"--python-version={python}",
            *(f"--platform=manylinux{glibc}_{machine}" for glibc in _GLIBC), "-d", folder, "-r", wanted,
        ],
        timeout=600,
    )  # fmt: skip
    wanted.unlink()


def _for_python(requirements: str, python: str) -> Iterator[str]:
    foreign = {"python_version": python, "python_full_version": f"{python}.0"}
    for entry in requirements.replace("\\\n", " ").splitlines():
        words, *hashes = entry.split("#")[0].split("--hash=")
        if not words.strip():
            continue
        wanted = Requirement(words.strip())
        if wanted.marker is None or wanted.marker.evaluate(foreign):
            yield " ".join([f"{wanted.name}{wanted.specifier}", *(f"--hash={one.strip()}" for one in hashes)])
