"""Makes a wheel of this checkout, to be installed on a host; the checkout itself is only read.

`pip wheel` builds inside the folder that it is given, so it is given a copy.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import HostError

__all__ = ["Wheel", "build_wheel"]

_NEEDED = ("pyproject.toml", "README.md", "LICENSE")
_PACKAGE = "support_tunnel"
# So that the same sources make the same bytes: zip files hold times, from 1980 on.
_EPOCH = "315532800"


@dataclass(frozen=True, slots=True)
class Wheel:
    name: str
    content: bytes


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
