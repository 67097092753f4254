"""Makes a wheel of this checkout, to be installed on a host, or reads one; the checkout itself is only read.

`pip wheel` builds inside the folder that it is given, so it is given a copy.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import HostError, UsageError

__all__ = ["Wheel", "build_wheel", "check_name", "read_wheel"]

_NEEDED = ("pyproject.toml", "README.md", "LICENSE")
_PACKAGE = "support_tunnel"
_NAME = re.compile(r"support_tunnel-[0-9][A-Za-z0-9.+!]*-py3-none-any\.whl")
# So that the same sources make the same bytes: zip files hold times, from 1980 on.
_EPOCH = "315532800"


@dataclass(frozen=True, slots=True)
class Wheel:
    name: str
    content: bytes

    @property
    def version(self) -> str:
        return self.name.split("-")[1]

    def requirements(self, extra: str) -> str:
        """What it needs for `extra`, with exact versions and hashes. Raises UsageError `wheel.ours`."""
        try:
            with zipfile.ZipFile(io.BytesIO(self.content)) as inside:
                return inside.read(f"{_PACKAGE}/shipped/requirements/{extra}.txt").decode()
        except (zipfile.BadZipFile, KeyError):
            raise UsageError("wheel.ours", f"{self.name} is no wheel of support-tunnel, or a damaged one") from None


def read_wheel(file: Path) -> Wheel:
    """Raises UsageError `usage.file`, `wheel.ours`."""
    try:
        return Wheel(check_name(file.name), file.read_bytes())
    except OSError as error:
        raise UsageError("usage.file", f"{file}: {error.strerror}") from None


def check_name(name: str) -> str:
    """The same name, if a wheel of ours has such a one (pip reads version and platform from it). Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError("wheel.ours", f"{name} is not the name of a wheel of support-tunnel")
    return name


def build_wheel(repository: Path) -> Wheel:
    """Build it. Raises HostError `wheel.build`."""
    with tempfile.TemporaryDirectory() as scratch:
        source, built = Path(scratch, "source"), Path(scratch, "built")
        source.mkdir()
        for name in _NEEDED:
            shutil.copyfile(repository / name, source / name)
        shutil.copytree(repository / _PACKAGE, source / _PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        try:
            processes.run(
                [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", built, source],
                timeout=300,
                env={"SOURCE_DATE_EPOCH": _EPOCH, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            )
            (wheel,) = built.glob("*.whl")
        except (HostError, ValueError) as error:
            reason = error.message if isinstance(error, HostError) else "pip made none"
            raise HostError("wheel.build", f"no wheel can be built from {repository}: {reason}") from error
        return Wheel(wheel.name, wheel.read_bytes())
