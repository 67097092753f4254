"""The admin's side on macOS and on WSL without systemd, as far as a Linux machine can tell; docs/admin.md says how far that is."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from support_tunnel.adapters import memory_folder, processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.adapters.vault_tmpfs import TmpfsVault
from support_tunnel.cli import paths
from support_tunnel.cli.admin import tasks as admin_tasks
from support_tunnel.core import ssh_key, wireguard_key
from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Completed
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.code import Code
from support_tunnel.core.st1.device import DeviceOffer
from tests.cli.test_names import every_name
from tests.cli.test_stranger import Run, answering, fab, refusal
from tests.elsewhere import COVERED, LINUX_ONLY

__all__ = ["answering", "fab"]

PACKAGE = paths.REPOSITORY / "support_tunnel"
RAM = """<plist version="1.0"><dict><key>images</key><array><dict>
<key>image-path</key><string>ram://16384</string>
<key>system-entities</key><array><dict>
<key>dev-entry</key><string>/dev/disk4</string><key>mount-point</key><string>{mount}</string>
</dict></array></dict></array></dict></plist>"""

Elsewhere = Callable[..., Completed]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    """Run fab on `system` with a home of its own and none of Linux's own folders."""
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(system: str, *words: str, stdin: str = "", inventory: Path | None = None) -> Completed:
        settings = {"HOME": str(tmp_path), "COLUMNS": "200"}
        if inventory:
            settings["SUPPORT_TUNNEL_INVENTORY"] = str(inventory)
        alone = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        entry = [sys.executable, "-B", "-m", "tests.elsewhere", system, str(empty)]
        argv = ["env", "-C", str(paths.REPOSITORY), *alone, *entry, *words]
        ended = processes.run(argv, stdin=stdin.encode(), timeout=90, accept=None, env=settings)
        assert "Traceback" not in ended.stdout + ended.stderr
        assert not (tmp_path / ".cache").exists(), ended.stderr
        return ended

    return run


SYSTEMS = ("darwin", "linux")
VERBS = sorted(every_name(admin_tasks.namespace()))


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_verb_is_imported_and_explains_itself(elsewhere: Elsewhere, system: str) -> None:
    listed = elsewhere(system, "--list").stdout
    assert [name for name in VERBS if re.search(rf"\b{re.escape(name)}\b", listed) is None] == []
    assert "--preshared-key" in elsewhere(system, "--help", "create").stdout


def test_what_needs_no_memory_works_as_ever(elsewhere: Elsewhere, answering: Path) -> None:
    (answering.parent / "signer").unlink()
    assert elsewhere("darwin", "key.create", inventory=answering).status == 0
    said = elsewhere("darwin", "settings", "--json", inventory=answering).stdout
    assert json.loads(said)["cloud"]["value"] == "local"
    assert elsewhere("darwin", "list", inventory=answering).stdout == "no tunnels\n"
    verbs = [
        ["get"],
        ["stop"],
        ["resume"],
        ["connect"],
        ["forward", "80"],
        ["put", "x"],
        ["fetch", "x"],
        ["command", "x"],
    ]
    lines = [word for verb, *rest in verbs for word in (";", verb, "abcd1234", *rest)][1:]
    asked = elsewhere("darwin", *lines, inventory=answering)
    assert re.findall(r"^Error \(([a-z.]+)\)", asked.stderr, re.MULTILINE) == ["tunnel.unknown"] * len(verbs)


def waiting(answering: Path) -> Code:
    """An owner's request that waits at the API."""
    about = yaml.safe_load(answering.read_text())["support_tunnel"]
    clock, code = SystemClock(), Code.generate()
    _, public = ssh_key.new_keypair()
    made = DeviceOffer.make(
        code,
        scope=Scope("shell"),
        max_ttl=600,
        name="till",
        wireguard_public=wireguard_key.new_keypair()[1],
        ssh_host_key=public,
        now=clock.now(),
    )
    with HttpMailbox(about["api"], clock=clock, fingerprint=about["api_fingerprint"]) as device:
        device.open(code.tunnel, made.message, claim=code.claim, ttl=600)
    return code


def still_waits(answering: Path, run: Run) -> bool:
    (row,) = json.loads(run("list", "--json", inventory=answering).stdout)
    return bool(row["state"] == "waiting")


def test_without_memory_no_key_is_written_and_the_request_waits_on(
    elsewhere: Elsewhere, fab: Run, answering: Path
) -> None:
    """As on WSL without systemd, were there no /dev/shm either."""
    code = waiting(answering).text().reveal()
    asked = elsewhere("linux", "create", "-p", "-", stdin=code, inventory=answering)
    assert refusal(asked) == (2, "vault.disk")
    assert still_waits(answering, fab)
    checks = states(elsewhere("linux", "doctor", "--json", inventory=answering))
    assert checks["vault"] == "fail"
    assert {name for name, state in checks.items() if state == "ok"} >= {"ssh", "mlkem", "config", "api", "access"}


def test_a_mac_without_a_ram_disk_is_told_how_to_make_one(elsewhere: Elsewhere, answering: Path) -> None:
    ended = elsewhere("darwin", "doctor", "--json", inventory=answering)
    (vault,) = [row for row in json.loads(ended.stdout.splitlines()[0]) if row["check"] == "vault"]
    assert (vault["state"], "hdiutil attach -nomount ram://" in vault["fix"]) == ("fail", True)


def states(ended: Completed) -> dict[str, str]:
    return {row["check"]: row["state"] for row in json.loads(ended.stdout.splitlines()[0])}


@pytest.mark.parametrize("words", [["gc"], ["rehearse"]])
def test_the_local_cloud_says_that_it_is_for_linux(elsewhere: Elsewhere, answering: Path, words: list[str]) -> None:
    ended = elsewhere("darwin", *words, inventory=answering)
    assert refusal(ended) == ((2, "cloud.linux-only") if words == ["rehearse"] else (1, "sweep.failed"))
    assert "works on Linux only" in ended.stderr


def test_and_says_so_before_the_request_is_answered(elsewhere: Elsewhere, fab: Run, answering: Path) -> None:
    code = waiting(answering).text().reveal()
    asked = elsewhere("darwin", "create", "-p", "-", stdin=code, inventory=answering)
    assert refusal(asked) == (2, "cloud.linux-only")
    assert still_waits(answering, fab)


# --- what lies in memory --------------------------------------------------------------------------------------------


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for a mounted RAM disk; hdiutil(1) is a stand-in that lists it, in the form of its manual."""
    volume = tmp_path / "support_tunnel"
    volume.mkdir()
    tool = tmp_path / "hdiutil"
    tool.write_text(f'#!/bin/sh\n[ "$*" = "info -plist" ] && echo {shlex.quote(RAM.format(mount=volume))}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(memory_folder, "RAM_DISK", volume)
    monkeypatch.setattr(Path, "is_mount", lambda path: path in (volume, Path("/")))
    return volume


def test_on_a_mac_keys_lie_on_a_ram_disk(mac: Path) -> None:
    assert memory_folder.in_memory(mac)
    assert not memory_folder.in_memory(mac.parent)
    assert not memory_folder.in_memory(mac / "absent")
    assert memory_folder.user_folder({"XDG_RUNTIME_DIR": str(mac.parent)}) == mac / "vault"
    TmpfsVault(mac / "vault").put(TunnelId("ab" * 16), "prk2", Secret(b"x"))


@pytest.mark.parametrize("says", ["", "no plist", RAM.replace("ram://16384", "/x.dmg")])
def test_what_hdiutil_does_not_call_memory_is_none(mac: Path, says: str) -> None:
    (mac.parent / "hdiutil").write_text(f"#!/bin/sh\necho {shlex.quote(says.format(mount=mac))}\n")
    assert not memory_folder.in_memory(mac)
    with pytest.raises(UsageError, match="on a disk"):
        TmpfsVault(mac / "vault").put(TunnelId("ab" * 16), "prk2", Secret(b"x"))


def test_without_proc_nothing_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Path(COVERED[-1])
    assert memory_folder.in_memory(memory)
    monkeypatch.setattr(memory_folder, "MOUNTS", Path("/nonexistent/mountinfo"))
    assert not memory_folder.in_memory(memory)


# --- what only Linux has, in the source -----------------------------------------------------------------------------


ON_A_DEVICE = re.compile(
    r"adapters/(local_cloud/|local_shell|hook_scripts|journal_disk)|flows/device/|cli/(device_|wiring_device|keeper)|"
    r"cli/rehearsal/|testing/|desired/"
)
"""Linux is all they are for: devices and tunnel servers run Debian."""
PROGRAMS = frozenset(
    ["getent", "ip", "loginctl", "mount", "nft", "setsid", "systemctl", "systemd-run", "timeout", "unshare", "wg"]
)
FOLDERS = tuple(f"{folder}/" for folder in (*COVERED, "/sys"))
ALLOWED = {
    ("adapters/clock.py", "time.CLOCK_BOOTTIME"): "only the device's keeper asks for it",
    ("adapters/memory_folder.py", "/proc/self/mountinfo"): "on a Mac hdiutil is asked",
    ("adapters/memory_folder.py", "/run/support_tunnel_admin"): "one of several, and not on a Mac",
    ("adapters/memory_folder.py", f"{COVERED[-1]}/support_tunnel_"): "one of several, and not on a Mac",
    ("adapters/node_processes.py", "/proc/"): "own_node.py asks for the system first",
    ("adapters/node_processes.py", "os.pidfd_open"): "own_node.py asks for the system first",
    ("adapters/node_processes.py", "signal.pidfd_send_signal"): "own_node.py asks for the system first",
    ("cli/paths.py", "/run/support_tunnel/vault"): "the device's",
    ("core/invitation.py", "/run/"): "in lines that a helper pastes on Linux",
    ("core/invitation.py", "/run/systemd/system/tailscaled.service.d"): "in lines that a helper pastes on Linux",
}


def linux_only(tree: ast.AST) -> Iterator[str]:
    """Names, folders and programs that are not there on macOS."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if name in names_of(module):
                yield f"{module}.{name}"
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{one.name}" for one in names if one.name in names_of(module))
            case ast.Constant(value=str(text)) if text.startswith(FOLDERS):
                yield text
            case ast.List(elts=[ast.Constant(value=str(program)), *_]) if program in PROGRAMS:
                yield program


def names_of(module: str) -> list[str]:
    return LINUX_ONLY.get(module, "").split()


def test_the_admins_side_names_nothing_that_only_linux_has() -> None:
    found = {
        (name, what)
        for path in PACKAGE.rglob("*.py")
        if not ON_A_DEVICE.match(name := path.relative_to(PACKAGE).as_posix())
        for what in linux_only(ast.parse(path.read_text()))
    }
    assert found == ALLOWED.keys(), "see ALLOWED in this test: is it guarded, or the device's?"


@pytest.mark.parametrize(
    "line",
    ["os.memfd_create('x')", "from select import epoll", "x = '/proc/self/fd'", "run(['systemctl', 'stop'])"],
)
def test_the_look_can_fail(line: str) -> None:
    assert list(linux_only(ast.parse(line)))
