"""Set-up does what is missing, says so, and does nothing twice; run on a checkout of its own, with no requirements in it.

Needs no network: an empty requirements file is a true one, and a package that exists nowhere is truly missing.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NO_SUCH_PACKAGE = "support-tunnel-no-such-package"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the tools, a package of one file, and a space in its path."""
    folder = tmp_path / "a checkout"
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


def path_with_only(folder: Path, *programs: str) -> str:
    """A PATH on which nothing but these is found."""
    folder.mkdir()
    for program in programs:
        found = shutil.which(program)
        assert found
        (folder / program).symlink_to(found)
    return str(folder)


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


# --- Headscale and Tailscale ----------------------------------------------------------------------------------------

GO = """#!/bin/sh
case $1 in
env) [ "$2" = GOVERSION ] && echo go@VERSION@ || echo linux amd64 ;;
build)
    echo "$PWD $* $GOFLAGS $CGO_ENABLED $GOTOOLCHAIN" >>"@CALLS@"
    while [ "$1" != -o ]; do shift; done
    out=$2
    @DEED@
    shift 2
    for package; do echo built >"$out${package##*/}"; chmod +x "$out${package##*/}"; done ;;
esac
"""
"""Stands in for the compiler, which takes minutes: set-up's own part is whom it asks, when, and what it leaves."""
PROGRAMS = ["headscale", "tailscale", "tailscaled"]
SHELL = [
    "sh",
    "cat",
    "tr",
    "sed",
    "sort",
    "head",
    "sha256sum",
    "mkdir",
    "mv",
    "rm",
    "flock",
    "sync",
    "tail",
    "id",
    "chmod",
]


class GoMachine:
    """A PATH with a Go of our own making on it, or none, and a cache of tools."""

    def __init__(self, folder: Path) -> None:
        self.cache, self.calls, self.bin = folder / "cache", folder / "calls", folder / "bin"
        path_with_only(self.bin, "dirname", *SHELL)
        self.calls.touch()

    def go(self, version: str = "9.9.9", deed: str = ":") -> None:
        text = GO.replace("@VERSION@", version).replace("@CALLS@", str(self.calls)).replace("@DEED@", deed)
        (self.bin / "go").write_text(text)
        (self.bin / "go").chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "SUPPORT_TUNNEL_TOOLS_CACHE": str(self.cache), **more}

    def builds(self) -> list[str]:
        return self.calls.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> GoMachine:
    return GoMachine(tmp_path)


def started(checkout: Path, machine: GoMachine) -> subprocess.Popen[bytes]:
    """A set-up that runs beside us, as leader of its own process group."""
    return subprocess.Popen(
        [checkout / "tools/setup", "go"],
        env={**os.environ, **machine.environment()},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def tools_of(checkout: Path) -> dict[str, Path]:
    lines = (checkout / ".venv/tools").read_text().splitlines()
    return {name: Path(path) for name, path in (line.split(" ", 1) for line in lines)}


def building(name: str, version: str = "9.9.9") -> str:
    return f"set-up: building {name} with go{version}, once on this machine (minutes, and gigabytes of Go's own caches)"


def test_programs_are_built_once_per_machine_by_what_is_pinned(checkout: Path, machine: GoMachine) -> None:
    machine.go()
    assert says(setup(checkout, "go", **machine.environment())) == [building("headscale"), building("tailscale")]
    tools = tools_of(checkout)
    assert sorted(tools) == PROGRAMS
    assert {path.read_text() for path in tools.values()} == {"built\n"}
    headscale, tailscale = machine.builds()
    assert headscale.startswith(f"{checkout}/tools/headscale build -trimpath -ldflags -s -w -o ")
    assert "-X tailscale.com/version.longStamp=1.102.3 -X tailscale.com/version.shortStamp=1.102.3" in tailscale
    assert all("-mod=readonly" in line and line.endswith(" 0 local") for line in machine.builds())

    moved = checkout.rename(checkout.with_name("another clone"))
    (moved / ".venv/tools").unlink()
    assert says(setup(moved, "go", **machine.environment())) == []
    assert (tools_of(moved), len(machine.builds())) == (tools, 2)


def test_another_pin_or_another_go_is_another_build(checkout: Path, machine: GoMachine) -> None:
    machine.go()
    says(setup(checkout, "go", **machine.environment()))
    first = tools_of(checkout)
    with (checkout / "tools/headscale/go.sum").open("a") as sums:
        sums.write("a module more\n")
    assert says(setup(checkout, "go", **machine.environment())) == [building("headscale")]
    second = tools_of(checkout)
    machine.go("9.9.10")
    assert len(says(setup(checkout, "go", **machine.environment()))) == 2
    assert [len({run["headscale"] for run in (first, second)}), second["tailscaled"] == first["tailscaled"]] == [
        2,
        True,
    ]
    assert first["headscale"].exists(), "nodes may still run it"


@pytest.mark.parametrize("version", [None, "1.19.8", "1.26.3"])
def test_without_a_go_that_is_new_enough_set_up_says_so_and_goes_on(
    checkout: Path, machine: GoMachine, version: str | None
) -> None:
    here = "there is no Go here" if version is None else f"here is {version}"
    if version:
        machine.go(version)
    said = says(setup(checkout, "go", **machine.environment()))
    assert said == [
        f"set-up: no headscale: it is built with Go 1.26.4 or newer, and {here}; or name one: SUPPORT_TUNNEL_HEADSCALE_BINARY",
        f"set-up: no tailscale: it is built with Go 1.26.6 or newer, and {here}; or name one: SUPPORT_TUNNEL_TAILSCALE_BINARY",
    ]
    assert (tools_of(checkout), machine.builds()) == ({}, [])


def test_a_program_that_is_named_is_taken_and_not_built(checkout: Path, machine: GoMachine) -> None:
    machine.go()
    mine = {f"SUPPORT_TUNNEL_{name.upper()}_BINARY": str(machine.bin / "cat") for name in ("headscale", "tailscaled")}
    assert says(setup(checkout, "go", **machine.environment(**mine))) == [building("tailscale")]
    tools = tools_of(checkout)
    assert (tools["headscale"], tools["tailscaled"]) == (machine.bin / "cat", machine.bin / "cat")
    (only,) = machine.builds()
    assert only.split(" -o ")[1].split()[1] == "tailscale.com/cmd/tailscale"


def test_a_program_that_is_named_and_is_not_there_is_an_error(checkout: Path, machine: GoMachine) -> None:
    done = setup(checkout, "go", **machine.environment(SUPPORT_TUNNEL_TAILSCALED_BINARY="/no/such"))
    assert done.returncode == 1
    assert done.stderr.endswith("set-up: SUPPORT_TUNNEL_TAILSCALED_BINARY names /no/such, and that is no program\n")
    assert not (checkout / ".venv/tools").exists()


def test_a_build_that_fails_is_told_and_leaves_nothing(checkout: Path, machine: GoMachine) -> None:
    machine.go(deed="echo half >$out/headscale; echo the compiler is unhappy >&2; exit 1")
    done = setup(checkout, "go", **machine.environment())
    assert done.returncode == 1
    *_, why, last = done.stderr.splitlines()
    assert (why, last) == (
        "the compiler is unhappy",
        "set-up: go build failed for headscale, its last lines are above",
    )
    assert [path.name for path in machine.cache.iterdir()] == ["headscale.lock"]


def test_a_build_that_was_killed_is_begun_again(checkout: Path, machine: GoMachine) -> None:
    machine.go(deed="echo half >$out/headscale; kill -9 0")  # 0: everything of this set-up
    killed = started(checkout, machine)
    assert killed.wait(timeout=60) == -9
    assert [path for path in machine.cache.glob("headscale-*")] == []
    assert [path.read_text() for path in machine.cache.glob("headscale.new/*")] == ["half\n"]
    machine.go()
    says(setup(checkout, "go", **machine.environment()))
    assert tools_of(checkout)["headscale"].read_text() == "built\n"
    assert not list(machine.cache.glob("*.new"))


def test_two_set_ups_at_once_build_once(checkout: Path, machine: GoMachine) -> None:
    other = shutil.copytree(checkout, checkout.with_name("the other"))
    (machine.bin / "sleep").symlink_to(shutil.which("sleep") or "")
    both = " && ".join(f"[ -e '{folder}/.venv/tools.new' ]" for folder in (checkout, other))
    machine.go(deed=f"until {both}; do sleep 0.02; done; sleep 0.5")  # the second comes to the lock meanwhile
    runs = [started(folder, machine) for folder in (checkout, other)]
    assert [run.wait(timeout=60) for run in runs] == [0, 0]
    assert len(machine.builds()) == 2, "one for each tool"
    assert tools_of(checkout) == tools_of(other)


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
