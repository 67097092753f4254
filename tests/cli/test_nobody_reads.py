"""Whoever reads what a verb says may leave at any line (`fab list | head -n 1`): the verb ends in silence, with what a shell has for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support_tunnel.cli import paths
from support_tunnel.cli.output import NOBODY_READS

FAB = (str(Path(sys.executable).with_name("fab")),)
INSTALLED = (sys.executable, "-m", "support_tunnel.cli.admin.program")


@pytest.mark.parametrize("both", [False, True], ids=["stdout", "stdout-and-stderr"])
@pytest.mark.parametrize(
    "words",
    [
        (*FAB, "settings"),
        (*FAB, "settings", "--json"),
        (*FAB, "explain", "no.such", "--json"),
        (*INSTALLED, "--list"),
        (*INSTALLED, "explain", "cloud.auth"),
    ],
    ids=["table", "json", "an-error", "the-list", "installed"],
)
def test_the_verb_ends_in_silence(tmp_path: Path, words: tuple[str, ...], both: bool) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            words,
            cwd=paths.REPOSITORY,
            stdout=write,
            stderr=write if both else subprocess.PIPE,
            env={**os.environ, "HOME": str(tmp_path)},
            check=False,
            timeout=120,
        )
    finally:
        os.close(write)
    assert ended.returncode == NOBODY_READS
    assert not ended.stderr
    assert not (tmp_path / ".cache").exists()


def test_another_broken_pipe_is_a_fault_of_ours(tmp_path: Path) -> None:
    """One that is none of ours to be silent about: it is written down as every fault is."""
    program = (
        "from support_tunnel.cli.boundary import boundary\n@boundary\ndef fails(json=False): raise BrokenPipeError\n"
    )
    program += "try: fails()\nexcept BaseException as ended: print(ended.code)"
    env = {**os.environ, "HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=paths.REPOSITORY, env=env, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "1\n"
    assert "Something unexpected went wrong" in ran.stderr
    assert list((tmp_path / ".cache" / "support_tunnel").glob("debug-*.txt"))
