"""The environment of the peers: theirs alone, so that what they need never enters ours."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bench.places import PEERS_LOCK, PEERS_VENV

__all__ = ["install_peers", "mitogen_strategies"]


def install_peers() -> Path:
    """Make the environment unless it is there and of today's lock; return its folder of programs."""
    made_from = PEERS_VENV / "made-from"
    digest = hashlib.sha256(PEERS_LOCK.read_bytes()).hexdigest()
    if not (made_from.is_file() and made_from.read_text() == digest):
        shutil.rmtree(PEERS_VENV, ignore_errors=True)
        PEERS_VENV.parent.mkdir(exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", PEERS_VENV], check=True, timeout=300)
        pip: list[str | Path] = [PEERS_VENV / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", PEERS_LOCK], check=True, timeout=900)
        made_from.write_text(digest)
    return PEERS_VENV / "bin"


def mitogen_strategies() -> Path:
    """The folder that Ansible needs to know to run by Mitogen."""
    return next(PEERS_VENV.glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))
