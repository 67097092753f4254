"""A tunnel's own Headscale and its two nodes: how fast they meet, how fast a session is cut, what its relay costs.

Server, helper and device are what the roles make of three hosts, with the settings that the flows give a tunnel's server. All hosts have
one clock, so a moment on one of them is a moment on the other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack

from bench.result import Result, Series, paired
from bench.saying import say
from bench.tunnel import SEND, SINK
from support_tunnel.adapters.clock import SystemClock
from support_tunnel.adapters.headscale.client import HeadscaleClient
from support_tunnel.core import addressing
from support_tunnel.core.tailnet import Passage, write_policy
from support_tunnel.core.waiting import wait_for
from support_tunnel.flows.admin.coordinate import for_two_nodes
from support_tunnel.testing.scratch_cloud import scratch_cloud
from tests.roles.tailnet import Node, make_host, make_server

__all__ = ["measure"]

SECONDS = 3
PORT = addressing.SESSION_PORT
CLOCK = SystemClock()
SHORT = "be9c4000"
PASSAGE = Passage("bench", SHORT, ("helper",), (PORT,))
NO_UDP = """
table inet bench_no_udp {
    chain output { type filter hook output priority -200; oifname "eth0" meta l4proto udp drop; }
    chain input { type filter hook input priority -200; iifname "eth0" meta l4proto udp drop; }
}
"""

TICKS = f"""\
cat > /run/bench-ticks.py <<'END'
import socket, threading, time
def tick(end):
    try:
        while True:
            end.sendall(b".")
            time.sleep(0.01)  # the beat of the stream that is measured
    except OSError:
        pass
listener = socket.create_server(("::", {PORT}), family=socket.AF_INET6)
while True:
    threading.Thread(target=tick, args=(listener.accept()[0],), daemon=True).start()
END
systemd-run --quiet --unit=bench-ticks python3 /run/bench-ticks.py
until ss -Hltn "sport = :{PORT}" | grep -q .; do sleep 0.05; done
"""
"""A session in which something is always on its way."""

LISTEN = """\
cat > /run/bench-listen.py <<'END'
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as end:
    end.settimeout(4)
    last, begun = 0.0, False
    try:
        while end.recv(4096):
            last = time.monotonic()
            if not begun:
                begun = open("/run/bench-begun", "w").close() is None
    except OSError:
        pass
with open("/run/bench-last", "w") as out:
    out.write(str(last))
END
rm -f /run/bench-begun /run/bench-last
systemd-run --quiet --collect python3 /run/bench-listen.py {address} {port}
until [ -e /run/bench-begun ]; do sleep 0.02; done
"""
"""The helper's end: notes when the last byte came; four seconds of silence are the end."""


def measure(runs: int) -> Result:
    samples: dict[str, list[float]] = {}
    with ExitStack() as stack:
        driver = stack.enter_context(scratch_cloud())
        say("headscale: three hosts")
        server = stack.enter_context(make_server(driver))
        helper, device = (
            Node(stack.enter_context(make_host(driver, name)), SHORT, server, (tag,))
            for name, tag in (("helper", PASSAGE.helper_tag("helper")), ("device", PASSAGE.device_tag))
        )
        helper.given["tailscale_node_opens"] = True
        device.given["tailscale_node_ports"] = [PORT]
        server.apply(**for_two_nodes(server.host.address))
        with server.client() as client:
            client.set_policy(write_policy([PASSAGE]))
            for run in range(runs):
                say(f"headscale: run {run + 1}/{runs}")
                for label, value in _once(client, helper, device).items():
                    samples.setdefault(label, []).append(value)
    by_relay, direct = samples["by the relay"], samples["directly"]
    return Result(
        "headscale",
        (paired("relay / direct, TCP", zip(by_relay, direct, strict=True)),),
        tuple(Series(label, "Mbit/s" if label in SPEEDS else "s", tuple(found)) for label, found in samples.items()),
        (
            "Promised: joined and pinging under 5 s; cut within 2 s of the deletion, within 1 s of the device's own end.",
            f"TCP, {SECONDS} s each, from helper to device; by the relay the server's Headscale works on the same cores too.",
        ),
    )


SPEEDS = ("directly", "by the relay")


def _once(client: HeadscaleClient, helper: Node, device: Node) -> dict[str, float]:
    took = {}
    _apart(client, helper, device)
    began = time.monotonic()
    helper.join(client)
    device.join(client)
    _until(lambda: "pong" in helper.ping(device), "a pong")
    took["Headscale healthy to both joined and pinging"] = time.monotonic() - began
    device.host.look(SINK)
    device.host.look(f'until ss -Hltn "sport = :{PORT}" | grep -q .; do sleep 0.05; done')
    _until(lambda: "via DERP" not in helper.ping(device), "the direct way")
    took["directly"] = _send(helper, device)
    helper.host.look(f"nft -f - <<'END'\n{NO_UDP}\nEND")
    _until(lambda: "via DERP" in helper.ping(device), "the way by the relay")
    took["by the relay"] = _send(helper, device)
    helper.host.look("nft delete table inet bench_no_udp")
    device.host.look("systemctl stop bench-sink.service")
    device.host.look(TICKS)

    def deleted() -> None:
        found = next(node for node in client.nodes() if device.tags[0] in node.tags)
        client.delete_node(found.id)

    took["cut after the node was deleted"] = _cut(helper, device, deleted)
    _apart(client, helper, device)
    helper.join(client)
    device.join(client)
    took["cut after the device's own end"] = _cut(helper, device, lambda: _stop(device))
    device.host.look("systemctl stop bench-ticks.service")
    return took


def _apart(client: HeadscaleClient, *nodes: Node) -> None:
    """As on the first day, but for the programs that lie there."""
    for node in nodes:
        _stop(node)
        node.host.look(f"rm -rf /run/support_tunnel/{node.short}; systemctl daemon-reload")
    for known in client.nodes():
        client.delete_node(known.id)


def _stop(node: Node) -> None:
    node.host.look(f"systemctl stop {node.unit} 2>/dev/null || :")


def _cut(helper: Node, device: Node, end: Callable[[], object]) -> float:
    """Seconds from before `end` to the last byte that the helper saw; 0 where none came after."""
    helper.host.look(LISTEN.format(address=device.addresses[-1], port=PORT))
    began = time.monotonic()
    end()
    helper.host.look("until [ -s /run/bench-last ]; do sleep 0.05; done")
    return max(0.0, float(helper.host.look("cat /run/bench-last")) - began)


def _send(helper: Node, device: Node) -> float:
    """Mbit/s as the receiver saw them."""
    said = helper.host.look(SEND.format(address=device.addresses[-1], port=PORT, seconds=SECONDS))
    return float(json.loads(said)) * 8 / 1e6


def _until(seen: Callable[[], bool], what: str) -> None:
    wait_for(lambda: True if seen() else None, what=what, seconds=60, clock=CLOCK)
