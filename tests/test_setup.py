"""Set-up does what is missing, says so, and does nothing twice; run on a checkout of its own, with no requirements in it.

Needs no network: an empty requirements file is a true one, and a package that exists nowhere is truly missing.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkouts import copy_of_tools, path_with_only, says, setup

ROOT = Path(__file__).resolve().parents[1]
NO_SUCH_PACKAGE = "support-tunnel-no-such-package"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_of_tools(tmp_path / "a checkout")


def package_seen_by(checkout: Path) -> str:
    program = "import support_tunnel; print(support_tunnel.__file__)"
    python = checkout / ".venv/bin/python"
    return subprocess.run(
        [python, "-c", program], cwd="/", capture_output=True, text=True, timeout=30, check=True
    ).stdout.strip()


# --- virtual environment --------------------------------------------------------------------------------------------


def test_environment_is_made_once_and_again_when_its_ground_changes(checkout: Path) -> None:
    making = [
        "set-up: making .venv with python3",
        "set-up: installing requirements/dev.txt, every file checked by its hash",
    ]
    assert says(setup(checkout, "python")) == making
    assert package_seen_by(checkout) == str(checkout / "support_tunnel/__init__.py")
    assert says(setup(checkout, "python")) == []

    moved = checkout.rename(checkout.with_name("moved"))  # its scripts name the old path
    assert says(setup(moved, "python")) == making
    assert package_seen_by(moved) == str(moved / "support_tunnel/__init__.py")

    (moved / "requirements/dev.txt").write_text("# another lock\n")
    assert says(setup(moved, "python")) == making
    assert says(setup(moved, "python")) == []


def test_a_requirement_without_hash_is_refused_and_not_taken_for_done(checkout: Path) -> None:
    (checkout / "requirements/dev.txt").write_text(f"{NO_SUCH_PACKAGE}==1.0\n")
    done = setup(checkout, "python")
    assert done.returncode == 1
    assert "hash" in done.stderr
    assert done.stderr.splitlines()[-1] == "set-up: pip failed, its last lines are above"
    assert not (checkout / ".venv/set-up").exists()


def test_a_machine_without_python_is_told_which_is_needed(checkout: Path, tmp_path: Path) -> None:
    path = path_with_only(tmp_path / "bin", "sh", "dirname", "cat", "readlink", "sha256sum")
    done = setup(checkout, "python", PATH=path)
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert not (checkout / ".venv").exists()


# --- Debian packages ------------------------------------------------------------------------------------------------


def on_a_terminal(checkout: Path, answer: bytes) -> tuple[int, str]:
    """Run the packages step with a terminal to ask on; return its status and what stood on the screen."""
    keyboard, terminal = pty.openpty()
    os.write(keyboard, answer)
    with subprocess.Popen(
        [checkout / "tools/setup", "packages"], stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(terminal)
        _, errors = process.communicate(timeout=60)
    os.close(keyboard)
    return process.returncode, errors


def test_packages_that_are_there_are_not_touched(checkout: Path) -> None:
    (checkout / "tools/debian-packages").write_text("# a comment\ndpkg\ncoreutils\n")
    assert says(setup(checkout, "packages")) == []


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04"], ids=["no", "enter", "end of input"])
def test_nothing_is_installed_without_a_yes(checkout: Path, answer: bytes) -> None:
    (checkout / "tools/debian-packages").write_text(f"dpkg\n{NO_SUCH_PACKAGE}\n")
    status, screen = on_a_terminal(checkout, answer)
    assert status == 1
    assert screen.splitlines()[0] == f"set-up: missing Debian packages: {NO_SUCH_PACKAGE}"
    assert screen.endswith("set-up: nothing installed; install them yourself, or answer y\n")


def test_a_machine_without_dpkg_is_told_what_is_needed(checkout: Path, tmp_path: Path) -> None:
    done = setup(checkout, "packages", PATH=path_with_only(tmp_path / "bin", "sh", "dirname"))
    assert done.returncode == 1
    assert "this machine has no dpkg" in done.stderr


def test_an_unknown_step_is_refused(checkout: Path) -> None:
    done = setup(checkout, "everything")
    assert (done.returncode, done.stderr) == (1, "set-up: no step everything; there are: packages python image go\n")


# --- what a run leaves ----------------------------------------------------------------------------------------------


def leftovers(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tools/leftovers.py", *command], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_clean_command_keeps_its_own_exit_code() -> None:
    assert leftovers("sh", "-c", "exit 0").returncode == 0
    assert leftovers("sh", "-c", "exit 7").returncode == 7


def test_a_daemon_left_behind_is_named() -> None:
    done = leftovers("sh", "-c", "setsid --fork sleep 31.25 >/dev/null 2>&1")
    *_, line = done.stdout.splitlines()
    words = line.split()
    os.kill(int(words[3]), 9)
    assert done.returncode == 3
    assert words == ["left", "behind:", "process", words[3], "sleep", "31.25"]


def test_a_process_that_is_ending_is_waited_for() -> None:
    assert leftovers("sh", "-c", "setsid --fork sleep 0.2").returncode == 0


@pytest.mark.onebox
def test_a_network_namespace_left_behind_is_named() -> None:
    name = f"st-left-{os.getpid()}"
    done = leftovers("ip", "netns", "add", name)
    subprocess.run(["ip", "netns", "delete", name], timeout=10, check=True)
    assert (done.returncode, done.stdout) == (3, f"left behind: network namespace {name}\n")
