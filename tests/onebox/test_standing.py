"""A standing Headscale on real hosts: who reaches whom, who logs in, how it ends, and what a reaper finds that has its key alone."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support_tunnel.core import login_key
from support_tunnel.core.waiting import wait_for
from support_tunnel.flows.standing import look, shorten
from tests.onebox.crew import PATIENCE, Crew
from tests.onebox.standing import CLOCK, NAME, NEIGHBOUR, Standing, Tunnel, standing
from tests.roles.hosts import SESSION_PORT, run

pytestmark = pytest.mark.onebox


@pytest.fixture(scope="module")
def stood(headscale_tools: None, trusting: Crew) -> Iterator[Standing]:
    with standing(trusting) as made:
        yield made


def measured(what: str, seconds: float) -> None:
    """For whoever reads the run: a time on a busy machine proves nothing."""
    sys.stderr.write(f"measured: {what}: {seconds:.2f} s\n")


def test_a_session_by_a_standing_server_from_the_code_to_the_end(stood: Standing) -> None:
    tunnel = stood.create()
    assert tunnel.events["connected"]["transport"] == "headscale"
    short = tunnel.names.short
    ran = stood.people.fab("command", short, "id -un")
    assert (ran.status, ran.stdout) == (0, f"{tunnel.names.user}\n"), ran.stderr

    stood.come(tunnel)
    stood.stream(tunnel)
    nobody_else_reaches_anything(stood, tunnel)
    a_hostile_server_gains_no_login(stood, tunnel)

    began = time.time()
    ended = stood.people.inv("stop")
    assert ended.status == 0, ended.stderr
    returned = time.time()
    last = stood.stopped()
    measured("`inv stop` to the last that the helper got, its own start included", last - began)
    measured("the last that the helper got to the end of `inv stop`", returned - last)
    stood.people.closed()
    came = {login["who"]: login for login in stood.people.logins(tunnel.id)}
    assert set(came) == {stood.people.on.settings.display_name, NAME}
    assert came[NAME]["fingerprint"] == login_key.fingerprint(login_key.read_file(stood.public.read_text()))

    report = json.loads(stood.people.fab("tunnel.close", short, "--json").stdout.splitlines()[-1])
    assert report["complete"], report
    assert stood.of(tunnel) == []
    assert stood.neighbours()
    assert list(stood.own_node().tunnels()) == []
    assert sorted(stood.people.left(tunnel.id)) == [f"server: {name}" for name in ("helper", "neighbour", "server")]
    stood.leave(tunnel)


def nobody_else_reaches_anything(stood: Standing, tunnel: Tunnel) -> None:
    """The matrix between a device, its helper, its admin and a stranger's device, both of whose walls are down."""
    device, theirs = tunnel.address, stood.neighbour.addresses
    mine = stood.helper.look("tailscale ip").split()
    own = stood.own_node().address(tunnel.id)
    assert own is not None
    assert stood.reached_from(stood.helper, [device, own, *theirs]) == {(device, SESSION_PORT)}
    assert stood.reached_from(stood.neighbour.host, [device, own, *mine]) == set()
    assert stood.own_node().way_to(tunnel.id, device) in ("direct", "relay")
    assert stood.own_node().way_to(tunnel.id, next(one for one in theirs if ":" in one)) == ""


def a_hostile_server_gains_no_login(stood: Standing, tunnel: Tunnel) -> None:
    """Whoever runs it lets everybody reach everybody, and has a node of its own among them."""
    good = stood.client.policy()
    assert good is not None
    stood.client.set_policy('{"grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}]}')
    try:
        device = tunnel.address
        wait_for(
            lambda: (device, SESSION_PORT) in stood.reached_from(stood.neighbour.host, [device]) or None,
            what="the intruder is at the device", seconds=PATIENCE, clock=CLOCK,
        )  # fmt: skip
        assert stood.reached_from(stood.neighbour.host, [device]) == {(device, SESSION_PORT)}
        stood.neighbour.host.look("test -e /root/intruder || ssh-keygen -q -t ed25519 -N '' -f /root/intruder")
        for user in (tunnel.names.user, "root"):
            login = ["ssh", "-F", "/dev/null", "-i", "/root/intruder", "-p", str(SESSION_PORT), "-o", "BatchMode=yes"]
            checks = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", f"{user}@{device}", "id"]
            tried = run(stood.neighbour.host.shell, shlex.join([*login, *checks]))
            assert (tried.status, tried.stdout) == (255, "")
            assert "Permission denied (publickey)" in tried.stderr
    finally:
        stood.client.set_policy(good.text)


def test_a_reaper_with_the_servers_key_alone_ends_a_tunnel_whose_tool_was_killed(stood: Standing) -> None:
    tunnel = stood.create()
    stood.come(tunnel)
    stood.stream(tunnel)
    tool = subprocess.Popen(
        stood.people.fab_words("command", tunnel.names.short, "sleep 900"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_for(
        lambda: "sleep 900" in stood.people.device(f"pgrep -u {tunnel.names.user} -a sleep") or None,
        what="the admin's command", seconds=PATIENCE, clock=CLOCK,
    )  # fmt: skip
    os.killpg(tool.pid, signal.SIGKILL)
    tool.wait(timeout=PATIENCE)
    assert stood.own_node().address(tunnel.id) is not None, "it needs no tool of ours"

    early = stood.elsewhere("sweep")
    assert early.status == 0, early.stderr
    assert len(stood.of(tunnel)) == 5, "what is in time stays: user, device, helper, admin, rule"

    shorten(stood.client, tunnel.names.short, look(stood.client).stays[tunnel.names.short].nonce, 1)
    over = stood.client.now()
    wait_for(lambda: stood.client.now() > over or None, what="its end", seconds=PATIENCE, clock=CLOCK)
    wait_for(lambda: (stood.client.now() - over).seconds >= 2 or None, what="its end", seconds=PATIENCE, clock=CLOCK)
    swept = stood.elsewhere("sweep")
    done = time.time()
    assert swept.status == 0, swept.stderr
    assert tunnel.names.short in swept.stdout + swept.stderr
    assert stood.of(tunnel) == []
    assert stood.neighbours()
    assert NEIGHBOUR.device not in swept.stdout
    measured("the end of `fab sweep` to the last that the helper got", stood.stopped() - done)

    assert stood.people.inv("stop").status == 0
    stood.people.closed()
    assert stood.people.fab("stop", tunnel.names.short).status == 0
    assert list(stood.own_node().tunnels()) == []
    assert not list((Path(stood.people.on.folder) / "elsewhere" / "runtime").glob("*"))
    stood.leave(tunnel)
