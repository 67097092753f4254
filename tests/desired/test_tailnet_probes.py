"""Which way a node reaches its peer, as the probe reads it from `tailscale ping`; a stand-in of that program answers as it was seen to."""

from __future__ import annotations

import subprocess
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from support_tunnel.core.names import Names, TunnelId
from support_tunnel.desired.tailnet_probes import tailnet_way

NAMES = Names(TunnelId("0badcafe" + "0" * 24))
PEER = IPv6Address("fd7a:115c:a1e0::2")
RELAY = "pong from st-0badcafe (100.64.0.2) via DERP(hs) in 2ms\ndirect connection not established"
DIRECT = "pong from st-0badcafe (100.64.0.2) via 10.77.0.2:41641 in 1ms"
SILENT = 'ping "fd7a:115c:a1e0::2" timed out'
NOBODY = "no matching peer"


def told(folder: Path, *answers: str) -> tuple[str, int]:
    """What the probe says, and how often it asked; the last answer is given again and again."""
    for number, answer in enumerate(answers):
        (folder / f"{number}").write_text(answer + "\n")
    program = folder / "tailscale"
    program.write_text(
        f"""#!/bin/sh
cd {folder} && printf x >>asked
[ "$*" = "--socket=/run/support_tunnel/0badcafe/node/socket ping -c 1 --timeout 3s {PEER}" ] || exit 9
number=$(($(wc -c <asked) - 1))
[ "$number" -le {len(answers) - 1} ] || number={len(answers) - 1}
cat "$number"
grep -q '^pong' "$number"
"""
    )
    program.chmod(0o755)
    script = tailnet_way(NAMES, str(folder), PEER).reveal()
    ran = subprocess.run(["sh", "-s"], input=script, text=True, capture_output=True, timeout=60, check=True)
    return ran.stdout.removeprefix("gone\tyes\n"), len((folder / "asked").read_text())


@pytest.mark.parametrize(
    ("answers", "said", "asked"),
    [
        ([DIRECT], "way\tdirect\n", 1),
        ([RELAY, DIRECT], "way\tdirect\n", 2),
        ([RELAY, RELAY, RELAY, RELAY, RELAY, DIRECT], "way\tdirect\n", 6),
        ([RELAY], "way\trelay\n", 6),
        ([RELAY, SILENT, RELAY], "way\trelay\n", 6),
        ([RELAY, SILENT, DIRECT], "way\tdirect\n", 3),
        ([SILENT, DIRECT], "", 1),
        ([NOBODY], "", 1),
    ],
    ids=["direct", "found", "found late", "relay", "lost one", "lost one, found", "silent", "nobody"],
)
def test_the_first_direct_answer_decides(tmp_path: Path, answers: list[str], said: str, asked: int) -> None:
    assert told(tmp_path, *answers) == (said, asked)


def test_a_node_that_is_gone_is_said(tmp_path: Path) -> None:
    script = tailnet_way(NAMES, str(tmp_path), PEER).reveal()
    ran = subprocess.run(["sh", "-s"], input=script, text=True, capture_output=True, timeout=60, check=True)
    assert ran.stdout == "gone\tyes\n"
