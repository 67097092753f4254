"""How long a policy of many tunnels takes: to be written by us, to be checked and to be set by a real Headscale with its nodes there.

The nodes are rows in the server's database, written while it is stopped: two thousand clients would measure this machine.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from bench.result import Ratio, Result, Series
from bench.saying import say
from support_tunnel.core.tailnet import Member, Passage, read_policy, with_passage, write_policy
from tests.headscale.real import RealHeadscale, real_network

__all__ = ["measure"]

SIZES = (10, 100, 300, 1000)
SET_UP_TO = 300
"""Tunnels. Above, Headscale takes minutes to set a policy: it looks at each pair of nodes with each rule."""
PATIENCE = 600.0
FIRST = IPv4Address("100.64.0.1")
FIRST_6 = IPv6Address("fd7a:115c:a1e0::1")


def measure(runs: int) -> Result:
    """Time each size `runs` times."""
    series: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-tailnet-") as folder,
        real_network(Path(folder) / "net") as (server, _),
    ):
        for size in SIZES:
            passages = [
                Passage(f"st-2026-{n:05}", f"{n:08x}", (f"helper-{n % 97}",), (47022, 8888)) for n in range(size)
            ]
            members = _fill(server, passages)
            for _ in range(runs):
                for label, seconds in _once(server, passages, members).items():
                    series.setdefault(f"{size} tunnels, {label}", []).append(seconds)
                    say(f"{size} tunnels, {label}: {seconds:.3f} s")
    made = [Series(label, "s", tuple(samples)) for label, samples in series.items()]
    largest = sum(
        one.median for one in made if one.label in (f"{SIZES[-1]} tunnels, {w}" for w in ("written", "checked"))
    )
    return Result(
        "tailnet",
        (Ratio(f"{SIZES[-1]} tunnels written and checked, of the 5 s that are promised", largest / 5, "<= 1"),),
        tuple(made),
    )


def _once(server: RealHeadscale, passages: Sequence[Passage], members: Sequence[Member]) -> dict[str, float]:
    took = {}
    with server.client(server.api_key(), patience=PATIENCE) as client:
        before = write_policy(passages[1:])
        start = time.perf_counter()
        text = with_passage(before, passages[0], members)
        took["written"] = time.perf_counter() - start
        start = time.perf_counter()
        read_policy(text)
        took["read"] = time.perf_counter() - start
        for label, policy in (("checked without its tests", write_policy(passages)), ("checked", text)):
            start = time.perf_counter()
            client.check_policy(policy)
            took[label] = time.perf_counter() - start
        if len(passages) <= SET_UP_TO:
            start = time.perf_counter()
            client.set_policy(text)
            took["set"] = time.perf_counter() - start
    return took


def _fill(server: RealHeadscale, passages: Sequence[Passage]) -> list[Member]:
    """Make a node for each tag, and no policy."""
    tags = list(dict.fromkeys(tag for passage in passages for tag in passage.tags))
    server.kill()
    with sqlite3.connect(server.database) as database:
        database.execute("DELETE FROM nodes")
        database.execute("DELETE FROM policies")
        database.executemany(
            "INSERT INTO nodes (machine_key, node_key, disco_key, endpoints, host_info, ipv4, ipv6, hostname, given_name,"
            " register_method, tags, created_at, updated_at) VALUES (?, ?, ?, '[]', '{}', ?, ?, ?, ?, 'authkey', ?,"
            " datetime('now'), datetime('now'))",
            (
                (
                    *(f"{kind}:{secrets.token_hex(32)}" for kind in ("mkey", "nodekey", "discokey")),
                    str(FIRST + number),
                    str(FIRST_6 + number),
                    *[f"node-{number}"] * 2,
                    json.dumps([tag]),
                )
                for number, tag in enumerate(tags)
            ),
        )
    database.close()
    server.start()
    return [Member(FIRST + number, frozenset({tag})) for number, tag in enumerate(tags)]
