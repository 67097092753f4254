"""Releases of this very checkout under other version numbers: what an upgrade, or two sides of different age, needs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from support_tunnel.cli import paths

__all__ = ["NEWER", "OLDER", "checkout_as"]

OLDER, NEWER = "0.0.9", "0.1.1"


def checkout_as(version: str, folder: Path) -> Path:
    """A copy of what a wheel is built from, with this version."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(paths.REPOSITORY / name, folder / name)
    shutil.copytree(
        paths.REPOSITORY / "support_tunnel", folder / "support_tunnel", ignore=shutil.ignore_patterns("__pycache__")
    )
    told = folder / "support_tunnel" / "__init__.py"
    text, found = re.subn(r'__version__ = ".*"', f'__version__ = "{version}"', told.read_text())
    assert found == 1
    told.write_text(text)
    return folder
