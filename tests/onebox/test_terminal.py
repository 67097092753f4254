"""`fab connect`, `fab command` and the admin's other verbs while a session lasts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.onebox.crew import Connected, Crew
from tests.onebox.window import window

pytestmark = pytest.mark.onebox


@pytest.fixture(scope="module")
def live(trusting: Crew) -> Iterator[Connected]:
    connected = trusting.connect("--ttl", "5")
    yield connected
    assert trusting.fab("stop", connected.names.short).status == 0
    trusting.closed()


def test_connect_gives_a_shell_that_follows_the_window(trusting: Crew, live: Connected) -> None:
    with window(trusting.fab_words("connect", live.names.short), rows=24, columns=80) as screen:
        screen.sees("$ ")
        # What is looked for is never what was typed: a terminal echoes.
        screen.types("id -un | rev\n")
        screen.sees(live.names.user[::-1])
        screen.types("stty size | tr ' ' x\n")
        screen.sees("24x80")
        screen.resize(50, 132)
        screen.types("until [ \"$(stty size)\" = '50 132' ]; do :; done; echo now-$((25 * 2))\n")
        screen.sees("now-50")
        screen.types("exit 5\n")
        assert screen.end() == 5


@pytest.mark.parametrize("status", [0, 1, 7, 130])
def test_the_status_of_a_command_is_the_status_of_fab(trusting: Crew, live: Connected, status: int) -> None:
    done = trusting.fab("command", live.names.short, f"echo out; echo err >&2; exit {status}")
    assert (done.status, done.stdout, done.stderr) == (status, "out\n", "err\n")


def test_the_list_names_the_tunnel(trusting: Crew, live: Connected) -> None:
    (row,) = json.loads(trusting.fab("list", "--json").stdout)
    assert (row["tunnel_id"], row["state"], row["mine"]) == (live.tunnel, "connected", True)


def test_a_sweep_leaves_a_live_tunnel_alone(trusting: Crew, live: Connected) -> None:
    swept = json.loads(trusting.fab("sweep", "--json").stdout)
    assert (swept["ended"], swept["failed"]) == ([], [])
    assert trusting.fab("command", live.names.short, "true").status == 0


def test_a_second_answer_to_the_same_code_is_refused(trusting: Crew, live: Connected) -> None:
    again = trusting.fab("create-tunnel-server", "-p", "-", stdin=live.code.text().reveal())
    assert again.status == 4
    assert again.stderr.startswith("Error (tunnel.known)")
