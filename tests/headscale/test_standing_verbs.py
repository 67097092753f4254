"""The verbs of a standing server over a real one with real nodes: seen, closed, and reaped by a machine that has its API key alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.cli import paths
from support_tunnel.core.limits import Limits
from support_tunnel.core.ports import Coordinator
from support_tunnel.core.tailnet import Passage, read_policy
from support_tunnel.core.waiting import wait_for
from support_tunnel.flows.standing import begin, look
from support_tunnel.flows.tailnet import open_passage
from tests.headscale.real import CLOCK, Members, RealHeadscale

LONG = 3600


@dataclass(slots=True)
class Office:
    """Another machine's settings, with a ledger of its own that knows nothing."""

    server: RealHeadscale
    members: Members
    client: Coordinator
    environ: dict[str, str]

    def fab(self, *words: str) -> tuple[int, Any]:
        done = subprocess.run(
            [Path(sys.executable).parent / "fab", *words, "--json"],
            cwd=paths.REPOSITORY, env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[0])

    def opened(self, passage: Passage, *, seconds: int) -> None:
        """As `tunnel.create` does, with a device and a helper who are real nodes."""
        begin(self.client, passage.device, passage.ticket, nonce="00000001", seconds=seconds, limits=Limits())
        open_passage(self.client, CLOCK, passage)
        for tag in passage.tags:
            key = self.client.create_join_key(600, tags=[tag]).text
            self.members.join(key, f"{tag.rpartition('--')[2]}-{passage.device[:4]}")
        open_passage(self.client, CLOCK, passage)

    def left(self) -> tuple[list[str], list[str], int]:
        seen = look(self.client)
        stored = self.client.policy()
        return (
            [n.name for n in seen.nodes],
            [u.name for u in seen.users],
            len(read_policy(stored.text)) if stored else 0,
        )


@pytest.fixture(scope="module")
def office(network: tuple[RealHeadscale, Members], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    server, members = network
    folder = tmp_path_factory.mktemp("office")
    key = server.api_key()
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_text(key.reveal())
    (folder / "all.yml").write_text(
        json.dumps(
            {
                "support_tunnel": {
                    "headscale_server": server.url,
                    "headscale_authority": f"file:{server.folder / 'authority.pem'}",
                    "headscale_key": f"file:{folder / 'key'}",
                    "clouds": {"local": {}},
                }
            }
        )
    )
    with (
        tempfile.TemporaryDirectory(prefix="support-tunnel-office-", dir="/dev/shm") as memory,
        server.client(key) as client,
    ):
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SUPPORT_TUNNEL_INVENTORY": str(folder / "all.yml"),
            "SUPPORT_TUNNEL_STATE": str(folder / "state"),
            "SUPPORT_TUNNEL_RUNTIME": f"{memory}/vault",
        }
        yield Office(server, members, client, environ)


def test_one_is_seen_with_its_nodes_and_closed_whole_by_whoever_has_the_key(office: Office) -> None:
    way = Passage("t-1", "aaaaaaaa", ("hana",), (47022,))
    office.opened(way, seconds=LONG)
    status, told = office.fab("headscale-status")
    (problem,) = told["problems"]  # a test's certificate lives for a day
    assert (status, told["version"]) == (1, "0.29.2")
    assert f"certificate ends {told['certificate_ends'][:10]}" in problem
    assert told["leftovers"] == []
    assert [one["tunnel_id"] for one in told["tunnels"]] == ["aaaaaaaa"]
    status, shown = office.fab("tunnel.status", "aaaaaaaa")
    assert (status, shown["ticket"], shown["helpers"]) == (0, "t-1", ["hana"])
    assert sorted(shown["nodes"]) == ["d-aaaaaaaa-aaaa", "h-hana-aaaa"]
    status, report = office.fab("tunnel.close", "aaaaaaaa")
    assert (status, report["complete"]) == (0, True)
    assert office.left() == ([], [], 0)
    assert office.fab("tunnel.list") == (0, [])
    assert office.fab("tunnel.status", "aaaaaaaa")[1]["report"] == report


def test_past_its_end_it_is_reaped_with_its_helper_still_connected(office: Office) -> None:
    over = Passage("t-2", "bbbbbbbb", ("hana",), (47022,))
    other = Passage("t-3", "cccccccc", ("hana",), (47022,))
    office.opened(other, seconds=LONG)
    office.opened(over, seconds=1)
    wait_for(lambda: look(office.client).over(office.client.now()) or None, what="the end", seconds=120, clock=CLOCK)
    status, told = office.fab("headscale-status")
    assert status == 1
    assert len(told["leftovers"]) == 1
    status, swept = office.fab("sweep")
    assert (status, swept["failed"]) == (0, [])
    (report,) = swept["reports"]
    assert (report["tunnel_id"], report["complete"]) == ("bbbbbbbb", True)
    nodes, users, rules = office.left()
    assert (sorted(nodes), rules) == (["d-cccccccc-cccc", "h-hana-cccc"], 1)
    assert [name.split("-")[1] for name in users] == ["cccccccc"]
    assert office.fab("tunnel.close", "cccccccc")[0] == 0
    assert office.left() == ([], [], 0)


def test_a_server_that_is_away_is_said_and_nothing_is_taken_for_gone(office: Office) -> None:
    way = Passage("t-4", "dddddddd", ("hana",), (47022,))
    begin(office.client, way.device, way.ticket, nonce="00000001", seconds=1, limits=Limits())
    office.server.kill()
    try:
        status, swept = office.fab("sweep")
        assert status == 1
        assert [label for label, _ in swept["failed"]] == ["Headscale server"]
        assert office.fab("tunnel.list")[0] == 7
    finally:
        office.server.start()
    wait_for(lambda: look(office.client).over(office.client.now()) or None, what="the end", seconds=120, clock=CLOCK)
    assert office.fab("sweep")[0] == 0
    assert office.left() == ([], [], 0)
