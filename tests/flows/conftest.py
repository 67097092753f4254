"""Worlds for the tests of flows; none leaves a thread behind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support_tunnel.flows.library import Library
from tests.flows.world import REPOSITORY, World


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Folders in memory: vaults belong there, and nothing waits for a disk."""
    made: list[World] = []

    def make(**given: Any) -> World:
        made.append(World(Path(folder) / f"world-{len(made)}", **given))
        return made[-1]

    with tempfile.TemporaryDirectory(prefix="support-tunnel-flows-", dir="/dev/shm") as folder:
        yield make
        for world in made:
            world.end()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Stand-ins: what the roles do is not looked at here, and the real ones take as long to compile as all the rest."""
    roles = tmp_path_factory.mktemp("roles")
    for name in (
        "tunnel_server",
        "tunnel_server_packages",
        "tunnel_guest",
        "device_tunnel",
        "device_access",
        "headscale",
        "tailscale_node",
    ):
        tasks = roles / name / "tasks"
        tasks.mkdir(parents=True)
        task = f"- name: Stand-in\n  ansible.builtin.file: {{path: /run/{name}, state: directory, mode: '0700'}}\n"
        (tasks / "main.yml").write_text(task)
    return Library(roles, REPOSITORY / "templates")
