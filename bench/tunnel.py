"""TCP through our tunnel beside bare wireguard-go between the same two nodes, one right after the other.

Ours is what the roles tunnel_server and device_tunnel make: units, packet filter, preshared key. Bare is wireguard-go and
addresses, with a preshared key too. Both go from the server to the device, the only way that our filter opens.
"""

from __future__ import annotations

import base64
import ipaddress
import secrets
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.fresh_node import FreshNode, fresh_node, said_by
from bench.result import Result, Series, paired
from bench.saying import say
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.ssh_server import ServerShell
from support_tunnel.cli.paths import library
from support_tunnel.core import addressing, wireguard_key
from support_tunnel.core.secret import Secret
from support_tunnel.core.waiting import wait_for
from support_tunnel.testing.scratch_cloud import scratch_cloud

__all__ = ["measure"]

SECONDS = 2
TARGET = ">= 0.97"
SHORT = "be9c4000"
PORT, BARE_PORT = 51820, 51821
OURS = ipaddress.IPv6Network("fdbe:9c4:0:1::/64")
BARE = ipaddress.IPv6Network("fdbe:9c4:0:2::/64")

SINK = f"""\
cat > /run/bench-sink.py <<'END'
import socket, time
listener = socket.create_server(("::", {addressing.SESSION_PORT}), family=socket.AF_INET6)
buffer = bytearray(1 << 20)
while True:
    sender, _ = listener.accept()
    with sender:
        started, total = time.monotonic(), 0
        while size := sender.recv_into(buffer):
            total += size
        sender.sendall(str(total / (time.monotonic() - started)).encode())
END
systemd-run --quiet --unit=bench-sink python3 /run/bench-sink.py
"""
"""The receiver counts, until the last byte is there: what lies in the sender's buffers was not carried."""

SEND = """\
python3 - {address} {port} {seconds} <<'END'
import socket, sys, time
address, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
block = bytes(1 << 18)
with socket.create_connection((address, port), timeout=20) as sink:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sink.sendall(block)
    sink.shutdown(socket.SHUT_WR)
    print(sink.recv(64).decode())
END
"""

BARE_UP = """\
systemd-run --quiet --unit=bench-bare --property=Type=oneshot --remain-after-exit wireguard-go bare0
wg setconf bare0 /dev/stdin <<'END'
[Interface]
PrivateKey = {private}
ListenPort = {port}
[Peer]
PublicKey = {public}
PresharedKey = {psk}
AllowedIPs = {peer}/128
{endpoint}
END
ip link set dev bare0 addrgenmode none
ip link set dev bare0 mtu 1420 up
ip -6 address add {address} peer {peer}/128 dev bare0 nodad
"""


def measure(runs: int) -> Result:
    with ExitStack() as stack:
        driver = stack.enter_context(scratch_cloud())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tunnel-")))
        say("tunnel: two nodes")
        server, device = (stack.enter_context(fresh_node(driver, scratch, name)) for name in ("server", "device"))
        # Connected before the role takes root's login away; it spares live connections.
        on_server, on_device = (stack.enter_context(node.connect()) for node in (server, device))
        _raise_ours(on_server, on_device, server)
        _raise_bare(on_server, on_device, device)
        said_by(on_device, SINK)
        wait_for(
            lambda: said_by(on_device, f"ss -Hltn sport = :{addressing.SESSION_PORT}") or None,
            what="the receiver", seconds=20, clock=SystemClock(),
        )  # fmt: skip
        ours, bare = [], []
        for run in range(runs + 1):
            say(f"tunnel: pair {run}/{runs}")
            one, other = (_send(on_server, str(addressing.device_address(net))) for net in (OURS, BARE))
            if run:  # the first pair shakes hands
                ours.append(one)
                bare.append(other)
    return Result(
        "tunnel",
        (paired("our tunnel / bare wireguard-go", zip(ours, bare, strict=True), TARGET),),
        (Series("our tunnel", "Mbit/s", tuple(ours)), Series("bare wireguard-go", "Mbit/s", tuple(bare))),
        (f"TCP, {SECONDS} s each, sender, receiver and both ends of the tunnel on the same cores.",),
    )


def _raise_ours(on_server: ServerShell, on_device: ServerShell, server: FreshNode) -> None:
    """Apply both roles as the product does, with the variables that its flows give."""
    private, public = wireguard_key.new_keypair()
    psk = _new_psk()
    addresses = {"server": str(addressing.server_address(OURS)), "device": str(addressing.device_address(OURS))}
    library().converge(
        on_server,
        ("tunnel_server",),
        {
            "tunnel_server_short": SHORT,
            "tunnel_server_address": addresses["server"],
            "tunnel_server_device_address": addresses["device"],
            "tunnel_server_session_port": addressing.SESSION_PORT,
            "tunnel_server_port": PORT,
            "tunnel_server_expires": int(SystemClock().now().timestamp()) + 3600,
            "tunnel_server_peer_public_key": public,
            "tunnel_server_peer_psk": psk,
        },
        host="the server",
        timeout=60,
    )
    library().converge(
        on_device,
        ("device_tunnel",),
        {
            "session_short": SHORT,
            "session_server_address": addresses["server"],
            "session_device_address": addresses["device"],
            "session_port": addressing.SESSION_PORT,
            "device_tunnel_private_key": private,
            "device_tunnel_psk": psk,
            "device_tunnel_server_public_key": said_by(on_server, "cat /etc/wireguard/st0.pub").strip(),
            "device_tunnel_server_endpoint": f"{server.address}:{PORT}",
        },
        host="the device",
        timeout=60,
    )


def _raise_bare(on_server: ServerShell, on_device: ServerShell, device: FreshNode) -> None:
    """The server knocks, so that its filter, which stays as it is, sees answers only."""
    psk = _new_psk().reveal()
    keys = {"server": wireguard_key.new_keypair(), "device": wireguard_key.new_keypair()}
    addresses = {"server": addressing.server_address(BARE), "device": addressing.device_address(BARE)}
    for me, other, shell, endpoint in (
        ("device", "server", on_device, ""),
        ("server", "device", on_server, f"Endpoint = {device.address}:{BARE_PORT}"),
    ):
        said_by(
            shell,
            BARE_UP.format(
                private=keys[me][0].reveal(), public=keys[other][1], psk=psk, port=BARE_PORT,
                address=addresses[me], peer=addresses[other], endpoint=endpoint,
            ),
        )  # fmt: skip


def _send(on_server: ServerShell, address: str) -> float:
    """Mbit/s as the receiver saw them."""
    said = said_by(on_server, SEND.format(address=address, port=addressing.SESSION_PORT, seconds=SECONDS))
    return float(said) * 8 / 1e6


def _new_psk() -> Secret[str]:
    return Secret(base64.b64encode(secrets.token_bytes(32)).decode())
