"""One role of sixteen tasks on a fresh node by each tool: first run, run again without a change; near and 50 ms away.

Every tool is a whole process, from its start to its end, connecting included. A run of ours stands beside each peer's.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.children import Ended
from bench.delay import delayed
from bench.fresh_node import fresh_node
from bench.peers import install_peers
from bench.result import Result, Series, paired
from bench.role_tools import OURS, PEERS, Target, Tool
from bench.same_result import Made, differences, made_of
from bench.saying import say
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.testing.scratch_cloud import scratch_cloud

__all__ = ["measure"]

ROUND_TRIP = 0.05
LINKS = {"near": 0.0, "50 ms": ROUND_TRIP}
TURNS = ("first", "again")
Turns = dict[str, Ended]


def measure(runs: int) -> Result:
    install_peers()  # before the first clock starts
    samples: dict[str, list[float]] = {}
    pairs: dict[str, list[tuple[float, float]]] = {}
    with scratch_cloud() as driver, tempfile.TemporaryDirectory(prefix="bench-roles-") as scratch:
        apply = _Applier(driver, Path(scratch))
        for _, link, peer in itertools.product(range(runs), LINKS, PEERS):
            ours, theirs = apply(OURS, link), apply(peer, link)
            for turn in TURNS:
                where = f"{link}, {turn}"
                pair = (theirs[turn].seconds, ours[turn].seconds)
                pairs.setdefault(f"{peer.name} / ours, {where}", []).append(pair)
                for name, seconds in zip((peer.name, "ours"), pair, strict=True):
                    samples.setdefault(f"{name}, {where}", []).append(seconds)
                samples.setdefault(f"ours within a running program, {where}", []).append(float(ours[turn].stdout))
    return Result(
        "roles",
        tuple(paired(label, found) for label, found in pairs.items()),
        tuple(Series(label, "s", tuple(found)) for label, found in sorted(samples.items())),
        (
            "Each run had a fresh node; files (content, owner, mode), accounts, units, interface, packet filter and sshd's "
            "settings were equal after all of them, and unchanged by the second run.",
        ),
    )


@dataclass(slots=True)
class _Applier:
    """Applies by one tool after the other and insists that all make the same of a node."""

    driver: LocalNodeDriver
    scratch: Path
    reference: Made | None = None

    def __call__(self, tool: Tool, link: str) -> Turns:
        say(f"roles, {link}: {tool.name}")
        with (
            fresh_node(self.driver, self.scratch, "role") as node,
            tempfile.TemporaryDirectory(dir=self.scratch) as folder,
            _reached(node.address, LINKS[link]) as (address, port),
        ):
            target = Target(node, address, port, Path(folder))
            fresh = node.snapshot()
            first = tool.apply(target)
            made = made_of(node, fresh)
            again = tool.apply(target)
            after = made_of(node, fresh)
        self.reference = self.reference or made
        if wrong := differences(self.reference, made):
            raise RuntimeError(f"{tool.name} made something else of the node: {wrong}")
        if wrong := differences(made, after):
            raise RuntimeError(f"{tool.name} changed something in its second run: {wrong}")
        return {"first": first, "again": again}


@contextmanager
def _reached(address: str, round_trip: float) -> Iterator[tuple[str, int]]:
    way = delayed(address, 22, round_trip=round_trip) if round_trip else nullcontext(0)
    with way as port:
        yield ("127.0.0.1", port) if round_trip else (address, 22)
