"""Set-up's step for Headscale, Tailscale and OpenTofu: built once per machine from what is pinned, whole or not at all, by one of two at once.

The compiler is a script: real builds take minutes, and what they make is used by tests/headscale.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.checkouts import copy_of_tools, path_with_only, says, setup


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_of_tools(tmp_path / "a checkout")


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
TOOLS = ["headscale", "tailscale", "opentofu", "stand-in-provider"]
PROGRAMS = ["headscale", "stand-in-provider", "tailscale", "tailscaled", "tofu"]
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
    assert says(setup(checkout, "go", **machine.environment())) == [building(name) for name in TOOLS]
    tools = tools_of(checkout)
    assert sorted(tools) == PROGRAMS
    assert {path.read_text() for path in tools.values()} == {"built\n"}
    headscale, tailscale, opentofu, stand_in = machine.builds()
    assert " github.com/opentofu/opentofu/cmd/tofu " in opentofu
    assert stand_in.startswith(f"{checkout}/tools/stand-in-provider build ")
    assert headscale.startswith(f"{checkout}/tools/headscale build -trimpath -ldflags -s -w -o ")
    assert " build -trimpath -tags ts_omit_bakedroots,ts_omit_captiveportal -ldflags " in tailscale
    assert "-X tailscale.com/version.longStamp=1.102.3 -X tailscale.com/version.shortStamp=1.102.3" in tailscale
    assert all("-mod=readonly" in line and line.endswith(" 0 local") for line in machine.builds())

    moved = checkout.rename(checkout.with_name("another clone"))
    (moved / ".venv/tools").unlink()
    assert says(setup(moved, "go", **machine.environment())) == []
    assert (tools_of(moved), len(machine.builds())) == (tools, len(TOOLS))


def test_another_pin_or_another_go_is_another_build(checkout: Path, machine: GoMachine) -> None:
    machine.go()
    says(setup(checkout, "go", **machine.environment()))
    first = tools_of(checkout)
    with (checkout / "tools/headscale/go.sum").open("a") as sums:
        sums.write("a module more\n")
    assert says(setup(checkout, "go", **machine.environment())) == [building("headscale")]
    second = tools_of(checkout)
    with (checkout / "tools/stand-in-provider/main.go").open("a") as program:
        program.write("// a line more\n")
    assert says(setup(checkout, "go", **machine.environment())) == [building("stand-in-provider")]
    machine.go("9.9.10")
    assert len(says(setup(checkout, "go", **machine.environment()))) == len(TOOLS)
    assert [len({run["headscale"] for run in (first, second)}), second["tailscaled"] == first["tailscaled"]] == [
        2,
        True,
    ]
    assert first["headscale"].exists(), "nodes may still run it"


@pytest.mark.parametrize("version", [None, "1.19.8", "1.24.5"])
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
        f"set-up: no opentofu: it is built with Go 1.24.6 or newer, and {here}; or name one: SUPPORT_TUNNEL_TOFU_BINARY",
        f"set-up: no stand-in-provider: it is built with Go 1.24.6 or newer, and {here}; or name one: SUPPORT_TUNNEL_STAND_IN_PROVIDER_BINARY",
    ]
    assert (tools_of(checkout), machine.builds()) == ({}, [])


def test_a_go_that_is_new_enough_for_some_builds_those(checkout: Path, machine: GoMachine) -> None:
    machine.go("1.26.3")
    said = says(setup(checkout, "go", **machine.environment()))
    assert ["with Go 1.26.4 or newer, and here is 1.26.3" in said[0], "no tailscale" in said[1]] == [True, True]
    assert said[2:] == [building(name, "1.26.3") for name in TOOLS[2:]]
    assert sorted(tools_of(checkout)) == ["stand-in-provider", "tofu"]


def test_a_program_that_is_named_is_taken_and_not_built(checkout: Path, machine: GoMachine) -> None:
    machine.go()
    named = ("HEADSCALE", "TAILSCALED", "TOFU", "STAND_IN_PROVIDER")
    mine = {f"SUPPORT_TUNNEL_{name}_BINARY": str(machine.bin / "cat") for name in named}
    assert says(setup(checkout, "go", **machine.environment(**mine))) == [building("tailscale")]
    tools = tools_of(checkout)
    assert [name for name, path in tools.items() if path == machine.bin / "cat"] == [
        "headscale",
        "tailscaled",
        "tofu",
        "stand-in-provider",
    ]
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
    assert len(machine.builds()) == len(TOOLS), "one for each tool"
    assert tools_of(checkout) == tools_of(other)
