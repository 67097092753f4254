"""kill -9 at every step of making and ending a node: what is left is listed, and can be removed by somebody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from support_tunnel.adapters.local_cloud import leaks
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver
from support_tunnel.testing.scratch_cloud import scratch_cloud, start

pytestmark = pytest.mark.onebox

VICTIM = """
import os, signal, sys
from pathlib import Path
from support_tunnel.adapters import processes
from support_tunnel.adapters.local_cloud import overlay
from support_tunnel.adapters.local_cloud.driver import LocalNodeDriver

verb, root, dies_at, node_id = sys.argv[1:]
steps = 0

def step(function):
    "Die before the step and after it: between two effects, and between an effect and its record."
    def stepped(*given, **options):
        die_now()
        done = function(*given, **options)
        die_now()
        return done
    return stepped

def die_now():
    global steps
    steps += 1
    if steps == int(dies_at):
        os.kill(os.getpid(), signal.SIGKILL)

processes.run, processes.launch = step(processes.run), step(processes.launch)
overlay.make_layers, overlay.remove = step(overlay.make_layers), step(overlay.remove)
Path.rename, Path.replace = step(Path.rename), step(Path.replace)
driver = LocalNodeDriver(root)
if verb == "create":
    driver.create_node("victim", driver.list_sizes()[0], driver.list_images()[1])
else:
    driver.destroy_node(next(node for node in driver.list_nodes() if node.id == node_id))
"""


def victim(verb: str, driver: LocalNodeDriver, dies_at: int, node_id: str = "") -> bool:
    """Run a verb that dies at that step; False when it came to its end before."""
    ended = subprocess.run(
        [sys.executable, "-c", VICTIM, verb, driver.key, str(dies_at), node_id],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


def effects(driver: LocalNodeDriver) -> list[str]:
    """What a killed maker left that is not just a file or the bridge all nodes share."""
    return [
        line for line in leaks.find(Path(driver.key)) if not line.startswith("folder ") and not line.endswith("-br")
    ]


def test_a_killed_maker_leaves_a_node_that_is_listed_and_can_be_ended() -> None:
    states = set()
    with scratch_cloud() as driver:
        for dies_at in count(1):
            died = victim("create", driver, dies_at)
            nodes = driver.list_nodes()
            states |= {str(node.state) for node in nodes}
            if effects(driver):
                assert len(nodes) == 1, f"step {dies_at}: something exists that nobody lists: {effects(driver)}"
            for node in nodes:
                assert driver.destroy_node(node)
            driver.ex_destroy_all()
            assert leaks.find(Path(driver.key)) == [], f"step {dies_at}"
            if not died:
                break
    assert dies_at > 10, "the steps of create were not seen"
    assert "error" in states, "a half-made node must not look like one that boots"


def test_a_maker_killed_early_is_no_obstacle_to_the_next_one() -> None:
    with scratch_cloud() as driver:
        for dies_at in (1, 3, 5, 7):
            victim("create", driver, dies_at)
        assert start(driver, "survivor").name == "survivor"


def test_a_killed_destroyer_is_finished_by_the_next_one() -> None:
    with scratch_cloud() as driver:
        for dies_at in count(1):
            node = driver.create_node("patient", driver.list_sizes()[0], driver.list_images()[1])
            died = victim("destroy", driver, dies_at, node.id)
            if effects(driver):
                assert [seen.id for seen in driver.list_nodes()] == [node.id], f"step {dies_at}"
            driver.ex_destroy_all()
            assert leaks.find(Path(driver.key)) == [], f"step {dies_at}"
            if not died:
                break
        assert dies_at > 3, "the steps of destroy were not seen"


def test_a_node_whose_supervisor_was_killed_is_ended_all_the_same() -> None:
    with scratch_cloud() as driver:
        node = start(driver, "orphan")
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # many processes of others come and go here
                if f"--machine={node.id}" in (entry / "cmdline").read_text().split("\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
        assert any("systemd" in line for line in effects(driver) if line.startswith("process "))
        assert driver.destroy_node(node)
        assert effects(driver) == []
