"""Where the bench finds the checkout and keeps what it makes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__all__ = ["CACHE", "PEERS_LOCK", "PEERS_VENV", "REPOSITORY", "ROLES", "program"]

REPOSITORY: Final = Path(__file__).resolve().parents[1]
CACHE: Final = REPOSITORY / ".cache"
PEERS_VENV: Final = CACHE / "bench-venv"
PEERS_LOCK: Final = REPOSITORY / "requirements/bench.txt"
ROLES: Final = REPOSITORY / "bench/role"


def program(name: str) -> Path:
    """A program of the environment that runs us."""
    return Path(sys.executable).with_name(name)
