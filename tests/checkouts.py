"""Checkouts of their own to run set-up on, so that a test neither needs nor changes this one's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_of_tools(folder: Path) -> Path:
    """A checkout with the tools, a package of one file and empty requirements; callers put a space in its path."""
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements").mkdir()
    (folder / "requirements/dev.txt").touch()
    (folder / "support_tunnel").mkdir()
    (folder / "support_tunnel/__init__.py").write_text('"""Of this checkout."""\n')
    return folder


def setup(checkout: Path, *steps: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "tools/setup", *steps],
        cwd="/",
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def says(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a good run said: always on stderr, because stdout belongs to the JSON of ./demo."""
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr.splitlines()


def path_with_only(folder: Path, *programs: str) -> str:
    """A PATH on which nothing but these is found."""
    folder.mkdir()
    for program in programs:
        found = shutil.which(program)
        assert found
        (folder / program).symlink_to(found)
    return str(folder)
