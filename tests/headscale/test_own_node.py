"""This machine as a node, by a real tailscaled of a real Headscale: sessions go through it, nobody comes in, and it ends by itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.adapters import processes
from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.cli import paths
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.loopback_sshd import KeyPair, free_port
from tests.headscale.own import OTHER, TUNNEL, Place, memory, nothing_left_of, own_node, processes_for
from tests.headscale.real import CLOCK

pytestmark = pytest.mark.onebox

PATIENCE = 120
"""Seconds, on a machine that is busy with something else."""


def failure(call: Callable[[], object], kind: type[HostError] | type[UsageError] = HostError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return caught.value.code


# --- what goes through it -------------------------------------------------------------------------------------------


def test_the_next_call_finds_it_and_uses_no_key(place: Place) -> None:
    address = own_node(place.folder).address(TUNNEL)
    assert address is not None
    assert ip_address(address) in ip_network("fd7a:115c:a1e0::/48")
    before = place.names()
    assert own_node(place.folder).join(TUNNEL, place.joining()) == address
    assert place.names() == before
    assert own_node(place.folder).tunnels() == [TUNNEL]
    assert own_node(place.folder).address(OTHER) is None


def test_it_says_how_the_other_end_answers(place: Place) -> None:
    node = own_node(place.folder)
    # The cable between them is open to UDP, so in the end they find each other.
    wait_for(
        lambda: node.way_to(TUNNEL, place.device) == "direct" or None, what="direct", seconds=PATIENCE, clock=CLOCK
    )
    assert node.way_to(TUNNEL, "fd7a:115c:a1e0::dead") == ""
    assert node.way_to(OTHER, place.device) == ""


def test_commands_files_and_ports_go_through_it(place: Place, tmp_path: Path) -> None:
    door = place.door(tmp_path)
    ended = door.command(TUNNEL, "echo out; echo err >&2; exit 3", timeout=PATIENCE)
    assert (ended.status, ended.stdout, ended.stderr) == (3, "out\n", "err\n")
    (tmp_path / "there").mkdir()
    (tmp_path / "here").write_bytes(os.urandom(1 << 20))
    door.put(TUNNEL, str(tmp_path / "here"), str(tmp_path / "there" / "file"), replace=False)
    door.fetch(TUNNEL, str(tmp_path / "there" / "file"), str(tmp_path / "back"), replace=False)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()
    local = free_port()
    opened = threading.Event()
    forward = threading.Thread(
        target=lambda: failure(lambda: door.forward(TUNNEL, place.sshd.port, local, opened=opened.set)), daemon=True
    )
    forward.start()
    assert opened.wait(PATIENCE)
    banner = processes.run(["ssh-keyscan", "-T", "30", "-t", "ed25519", "-p", str(local), "127.0.0.1"]).stdout
    assert place.sshd.host.public.split()[1] in banner
    for number, words in processes_for(tmp_path).items():
        if f"127.0.0.1:{local}:127.0.0.1:{place.sshd.port}" in words:
            os.kill(number, signal.SIGTERM)
    forward.join(PATIENCE)
    assert not forward.is_alive()


def test_the_host_key_stays_pinned_and_reasons_are_told_apart(place: Place, tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"device_host_key": KeyPair.make().public}, "ssh.hostkey", "the device shows another host key"),
        ({"device_port": free_port()}, "ssh.unreachable", "this machine's node cannot reach the device"),
    ]
    for number, (changes, code, words) in enumerate(wrong):
        door = place.door(tmp_path / str(number), **changes)
        with pytest.raises(HostError, match=words) as caught:
            door.command(TUNNEL, "true", timeout=PATIENCE)
        assert caught.value.code == code


def test_no_secret_is_in_its_arguments_surroundings_or_files(place: Place) -> None:
    running = processes_for(place.folder)
    assert any(Path(words[0]).name == "tailscaled" for words in running.values())
    told = [word for words in running.values() for word in words]
    surroundings = [Path(f"/proc/{number}/environ").read_bytes().decode(errors="replace") for number in running]
    assert all("TS_NO_LOGS_NO_SUPPORT=true" in text for text in surroundings)
    assert not any("TS_DEBUG" in text for text in surroundings)
    told += surroundings
    told += [path.read_bytes().decode(errors="replace") for path in place.folder.rglob("*") if path.is_file()]
    assert not any("hskey-auth-" in text for text in told)
    assert not list(place.folder.rglob("key"))
    assert (place.folder / "nodes" / TUNNEL).stat().st_mode & 0o777 == 0o700


# --- who comes in ---------------------------------------------------------------------------------------------------


def greet(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            taken, _ = listener.accept()
            with taken:
                taken.sendall(b"this machine\n")


def test_nobody_comes_in_through_it(place: Place) -> None:
    """A tailscaled without an interface hands what comes in to 127.0.0.1, whatever listens there; ours takes nothing."""
    mine = own_node(place.folder).address(TUNNEL)
    assert mine is not None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as near:
            assert near.recv(4) == b"this"
        assert greeted(place, "device", mine, port, seconds=10) == b""
    # The same way leads somewhere where somebody takes what comes in: the device's own sshd.
    place.members.join(place.key("stranger"), "stranger")
    assert greeted(place, "stranger", place.device, place.sshd.port, seconds=PATIENCE) == b"SSH-"


def greeted(place: Place, member: str, address: str, port: int, *, seconds: int) -> bytes:
    """How one who listens there greets a member of the same network."""
    program = built_tool(paths.REPOSITORY, "tailscale")
    words: list[str | Path] = [
        "timeout",
        str(seconds),
        program,
        f"--socket={place.members.folder / member}/socket",
        "nc",
        address,
        str(port),
    ]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asked:
        assert asked.stdout is not None
        said = asked.stdout.read(4)
        asked.kill()
    return said


# --- its end --------------------------------------------------------------------------------------------------------

TOOL = """
import os, sys
from pathlib import Path
from support_tunnel.core.ports import Joining
from support_tunnel.core.secret import Secret
from tests.headscale.own import own_node

folder, tunnel, control, authority, seconds, user = sys.argv[1:]
node = own_node(Path(folder))
node.require()
os.setgroups([])
os.setgid(int(user))
os.setuid(int(user))
key = Secret(sys.stdin.readline().strip())
print(node.join(tunnel, Joining(control, authority, key, int(seconds))), flush=True)
sys.stdin.readline()
"""


def started(place: Place, folder: Path, *, seconds: int, user: int) -> subprocess.Popen[str]:
    """A tool in a process of its own, which is a member and waits."""
    joining = place.joining()
    tool = subprocess.Popen(
        [sys.executable, "-c", TOOL, str(folder), OTHER, joining.control, joining.authority, str(seconds), str(user)],
        cwd=paths.REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tool.stdin is not None
    assert tool.stdout is not None
    tool.stdin.write(joining.key.reveal() + "\n")
    tool.stdin.flush()
    assert tool.stdout.readline().startswith("fd7a:")
    return tool


def test_it_runs_as_the_user_outlives_the_tool_and_ends_at_its_time_whatever_was_killed(place: Place) -> None:
    nobody = 65534
    with memory() as folder:
        os.chown(folder, nobody, nobody)
        with started(place, folder, seconds=60, user=nobody) as tool:
            tool.kill()
        running = [number for number, words in processes_for(folder).items() if "tailscaled" in words[0]]
        assert running, "it went with the tool"
        assert Path(f"/proc/{running[0]}").stat().st_uid == nobody
        assert Path(f"/proc/{running[0]}/status").read_text().count("CapEff:\t0000000000000000") == 1
        wait_for(lambda: not processes_for(folder) or None, what="its end", seconds=PATIENCE, clock=CLOCK)
        # It said goodbye, so nobody has to wait until the server misses it.
        wait_for(
            lambda: f"st-{OTHER[:8]}-admin" not in place.names() or None,
            what="the server's list", seconds=PATIENCE, clock=CLOCK,
        )  # fmt: skip


def test_it_goes_with_the_one_who_waits_for_its_end(place: Place) -> None:
    node = own_node(place.folder)
    node.join(OTHER, place.joining())
    home = place.folder / "nodes" / OTHER
    (waits,) = [number for number, words in processes_for(home).items() if Path(words[0]).name == "timeout"]
    os.kill(waits, signal.SIGKILL)
    wait_for(lambda: not processes_for(home) or None, what="its end", seconds=PATIENCE, clock=CLOCK)
    assert node.address(OTHER) is None
    assert OTHER in node.tunnels(), "what it left is seen"
    node.leave(OTHER)
    assert node.tunnels() == [TUNNEL]
    nothing_left_of(place.folder, OTHER)


def test_who_leaves_ends_what_goes_through_and_is_missed_at_once(place: Place, tmp_path: Path) -> None:
    """Last in this file: it takes the node that the others use."""
    node = own_node(place.folder)
    stranger = subprocess.Popen(["sleep", "600"])
    lost: list[str] = []
    door = place.door(tmp_path)
    stream = threading.Thread(
        target=lambda: lost.append(
            failure(lambda: door.command(TUNNEL, f"touch {tmp_path}/on; sleep 600", timeout=None))
        )
    )
    stream.start()
    wait_for(lambda: (tmp_path / "on").exists() or None, what="the stream", seconds=PATIENCE, clock=CLOCK)
    node.leave(TUNNEL)
    stream.join(PATIENCE)
    assert lost
    assert lost[0] in ("host.lost", "ssh.unreachable")
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    assert f"st-{TUNNEL[:8]}-admin" not in place.names()
    assert not processes_for(place.folder)
    assert not (place.folder / "nodes").exists()
    assert failure(lambda: door.command(TUNNEL, "true", timeout=PATIENCE)) == "node.gone"
    node.leave(TUNNEL)
