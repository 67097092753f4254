"""Worlds for the tests of flows; none leaves a thread behind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.world import World


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
