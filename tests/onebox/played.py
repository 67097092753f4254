"""Two whole sessions on real hosts with every packet kept: played once, then looked at by many tests.

What was seen is data here; nothing is judged while it plays, so that one broken promise fails one test.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import shlex
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from support_tunnel.adapters import processes
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.local_cloud.snapshot import Snapshot
from support_tunnel.core import ssh_key
from support_tunnel.core.ports import Completed
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import bech32m
from support_tunnel.core.st1.code import Code
from support_tunnel.core.waiting import wait_for
from tests.onebox.capture import Capture, capturing
from tests.onebox.crew import HOST_STATE, PATIENCE, Connected, Crew
from tests.onebox.searching import (
    MADE_ON_DEVICE,
    MODES,
    Processes,
    canary_places,
    clear_canary,
    loose,
    places,
    search,
    watching,
)

OfTransport = Callable[[Crew, Connected], dict[str, bytes]]
"""Reads the secrets that only sessions of one transport have."""

SERVER, DEVICE = "support-tunnel-server", "support-tunnel-device"


@dataclass(frozen=True, slots=True)
class Session:
    """What could be seen while it was connected, and what was left of it."""

    live: Connected
    ran: Completed
    marker: str
    """What the command wrote; not a text that is anywhere else."""
    peers: dict[str, list[str]]
    """By end: digest of the preshared key, age of the last handshake in seconds."""
    kex: dict[str, str]
    """By hop."""
    pinned: dict[str, str]
    """known_hosts of the admin, by hop."""
    host_keys: dict[str, str]
    """What each host itself says its key is."""
    listening: list[str]
    """Programs that listen on the server, one a socket."""
    secrets: dict[str, bytes] = field(repr=False)
    lying_about: dict[str, list[str]]
    """By moment: each secret that was found where it may not be."""
    careless_at: list[str]
    """Where a text was found that was left at each kind of place."""
    loose: list[str]
    """What others may read or write of what was made on either side."""
    left: list[str]
    log: bytes
    times_met: int


@dataclass(frozen=True, slots=True)
class Played:
    capture: Capture
    canary: bytes
    device_address: str
    tree: tuple[Snapshot, Snapshot]
    host: tuple[str, str]
    first: Session
    second: Session
    processes: Processes


def play(people: Crew, folder: Path) -> Played:
    with capturing(people.on.bridge, folder) as capture, watching() as processes:
        tree, host = people.tree(), people.device(HOST_STATE)
        first = play_session(replace(people, umask="000"), processes)
        second = play_session(replace(people, umask="077"), processes)
        after = people.tree(), people.device(HOST_STATE)
        for session in (first, second):
            session.lying_about["in processes and logs"] = search(processes.haystacks(), session.secrets)
        canary = send_in_clear(people)
        # Also the proof that tcpdump has written all that came before.
        wait_for(
            lambda: True if capture.holds(canary) else None,
            what="the canary on the wire",
            seconds=PATIENCE,
            clock=SystemClock(),
        )
    address = people.on.device.address
    return Played(capture, canary, address, (tree, after[0]), (host, after[1]), first, second, processes)


def _careless(people: Crew, live: Connected, processes: Processes, began: float) -> list[str]:
    """Be careless with a text: the proof that the search sees such things. Returns the places where it was found."""
    text = secrets.token_hex(16)
    canary_places(people, text, live.tunnel)
    wait_for(
        lambda: True if search(processes.haystacks(), {"text": text.encode()}) else None,
        what="the careless process",
        seconds=PATIENCE,
        clock=SystemClock(),
    )
    found = search({**places(people, began), **processes.haystacks()}, {"text": text.encode()})
    clear_canary(people)
    return sorted({line.partition(": text, ")[0] for line in found})


def play_session(people: Crew, processes: Processes, *asked: str, of_transport: OfTransport | None = None) -> Session:
    began = time.time()
    live = people.connect("--ttl", "5", *asked)
    marker = secrets.token_hex(16)
    half, other = marker[:16], marker[16:]
    # Put together by the shell on the device, so the command and its output are two things to look for.
    ran = people.fab("command", live.tunnel[:8], f"id -un; hostname; printf %s%s\\\\n {half} {other}; exit 7")
    seen = Session(
        live=live,
        ran=ran,
        marker=marker,
        peers={}
        if of_transport
        else {"device": _peer(people.device(WG)), "server": _peer(people.server(live.tunnel, WG))},
        kex={hop: _kex(people.ssh(live.tunnel, hop, "true", "-v").stderr) for hop in (SERVER, DEVICE)},
        pinned=dict(
            line.split(" ", 1) for line in people.vault_file(live.tunnel, "ssh-known-hosts").read_text().splitlines()
        ),
        host_keys={
            SERVER: people.server(live.tunnel, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key_tunnel.pub").strip(),
            DEVICE: people.device(
                f"ssh-keygen -y -f /run/support_tunnel/{live.names.short}/session/host_key | cut -d' ' -f1,2"
            ).strip(),
        },
        listening=people.server(live.tunnel, "ss -tulpnH").splitlines(),
        secrets=_secrets(people, live, f"{half} {other}", marker) | (of_transport or _wireguard)(people, live),
        lying_about={},
        careless_at=[],
        loose=_loose(people),
        left=[],
        log=b"",
        times_met=people.times_met(),
    )
    said = {"what the tools said": live.said.encode(), "what a command said": ran.stderr.encode()}
    seen.lying_about["while connected"] = search({**places(people, began), **said}, seen.secrets)
    seen.careless_at[:] = _careless(people, live, processes, began)
    stopped = people.fab("stop", live.tunnel[:8])
    assert stopped.status == 0, stopped.stderr
    people.closed()
    seen.lying_about["afterwards"] = search(places(people, began), seen.secrets)
    log = people.device(f"cat /var/log/support_tunnel/{live.names.short}.jsonl").encode()
    return replace(seen, left=people.left(live.tunnel), log=log)


def _loose(people: Crew) -> list[str]:
    made = people.device(MODES.format(folders=MADE_ON_DEVICE))
    folders = [people.on.settings.runtime, people.on.settings.state]
    here = processes.run(["sh", "-c", MODES.format(folders=shlex.join(folders))]).stdout
    assert len(made.splitlines()) > 10
    assert len(here.splitlines()) > 10
    return loose(made) + loose(here)


WG = r"""
wg show all preshared-keys | cut -f3
wg show all latest-handshakes | cut -f3
date +%s
"""


def _peer(shown: str) -> list[str]:
    psk, handshake, now = shown.split()
    return [hashlib.sha256(psk.encode()).hexdigest(), str(int(now) - int(handshake))]


def _kex(verbose: str) -> str:
    return next(line.rpartition(" ")[2] for line in verbose.splitlines() if "kex: algorithm:" in line)


def _wireguard(people: Crew, live: Connected) -> dict[str, bytes]:
    texts = {
        "device's WireGuard key": people.device("wg show all private-key | cut -f2"),
        "server's WireGuard key": people.server(live.tunnel, "wg show all private-key | cut -f2"),
        "preshared key": people.device("wg show all preshared-keys | cut -f3"),
    }
    return {name: base64.b64decode(text.strip()) for name, text in texts.items()}


def _secrets(people: Crew, live: Connected, arguments: str, output: str) -> dict[str, bytes]:
    """Everything that nobody on the wire may read, by what it is."""
    code, short, tunnel = live.code, live.names.short, live.tunnel
    settings = people.on.settings
    device_token = json.loads(people.device(f"cat /run/support_tunnel/vault/{tunnel}/tunnel"))["device_token"]
    user_data = yaml.safe_load(people.server(tunnel, "cat /var/lib/cloud/instance/user-data.txt"))
    keys = {
        "session's key": json.loads(people.device(f"cat /run/support_tunnel/vault/{tunnel}/channel"))["key"],
        "admin's session's key": json.loads(people.vault_file(tunnel, "state").read_text())["key"],
    }
    ssh = {
        "first host key of the server": user_data["ssh_keys"]["ed25519_private"],
        "host key of the server": people.server(tunnel, "cat /etc/ssh/ssh_host_ed25519_key_tunnel"),
        "host key of the session": people.device(f"cat /run/support_tunnel/{short}/session/host_key"),
        "login key": people.vault_file(tunnel, "login-key").read_text(),
        "session key": people.vault_file(tunnel, "session-key").read_text(),
        "admin's signing key": Path(settings.signer).read_text(),
    }
    found = {
        "code": code.text().reveal().encode(),
        "code in groups": code.grouped().reveal().encode(),
        "seed of the code": _seed(code),
        "root key": code.prk.reveal(),
        "claim": code.claim.reveal(),
        "admin's API token": Path(settings.token.removeprefix("file:")).read_text().strip().encode(),
        "device's API token": device_token.encode(),
        "name of the device": str(live.admin["device"]).encode(),
        "name of the admin": settings.display_name.encode(),
        "command": arguments.encode(),
        "output": output.encode(),
    }
    assert len(set(keys.values())) == 1  # prk2, from which both ends derive everything else
    found["prk2"] = base64.b64decode(keys["session's key"])
    for name, text in ssh.items():
        found[name] = ssh_key.load_private(Secret(text)).private_bytes_raw()
        found[f"{name}, a line of its file"] = text.splitlines()[3].encode()
    return found


def _seed(code: Code) -> bytes:
    """The 32 bytes that the code spells: behind `st1` one character of kind, then data, then six of checksum."""
    return bech32m.to_bytes([bech32m.ALPHABET.index(letter) for letter in code.text().reveal()[4:-6]])


def send_in_clear(people: Crew) -> bytes:
    """Send a text from the device to this machine, in two packets; return it whole."""
    canary = secrets.token_hex(16)
    with socket.create_server((_address_of(people.on.bridge), 0)) as listener, ThreadPoolExecutor(1) as beside:
        received = beside.submit(_receive, listener)
        host, port = listener.getsockname()
        script = (
            'exec 3<>"/dev/tcp/$0/$1"; printf %s "$2" >&3; read -r -N 1 _ <&3; printf %s "$3" >&3; read -r -N 1 _ <&3'
        )
        people.device(shlex.join(["bash", "-c", script, host, str(port), canary[:16], canary[16:]]))
        assert received.result(timeout=60).decode() == canary
    return canary.encode()


def _receive(listener: socket.socket) -> bytes:
    listener.settimeout(60)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(60)
        got = b""
        for half in (16, 32):
            while len(got) < half:
                more = connection.recv(32)
                assert more, "the device hung up"
                got += more
            connection.sendall(b".")
    return got


def _address_of(interface: str) -> str:
    shown = processes.run(["ip", "-json", "-4", "addr", "show", "dev", interface]).stdout
    address: str = json.loads(shown)[0]["addr_info"][0]["local"]
    return address
