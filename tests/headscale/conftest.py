"""The two Headscales that the contract runs over: the shipped fake, and the real 0.29.2 with real clients.

Skipped for a missing program only where set-up has looked for it and there is no Go to build it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.cli import paths
from support_tunnel.core.errors import HostError
from tests.headscale.own import Place, own_place
from tests.headscale.real import Members, RealHeadscale, real_network


@pytest.fixture(scope="session")
def tools() -> None:
    try:
        for program in ("headscale", "tailscale", "tailscaled"):
            built_tool(paths.REPOSITORY, program)
    except HostError as error:
        if error.code != "tool.missing":
            raise
        pytest.skip(f"needs {error.message.removeprefix('there is no ')}")


@pytest.fixture(scope="module")
def network(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealHeadscale, Members]]:
    """One for all tests of a module; who breaks it makes another."""
    with real_network(tmp_path_factory.mktemp("headscale") / "net") as made:
        yield made


@pytest.fixture(scope="module")
def place(network: tuple[RealHeadscale, Members], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """That network with a device's sshd in it, and this machine as a node."""
    with own_place(network, tmp_path_factory.mktemp("own")) as made:
        yield made


@pytest.fixture
def own_network(tools: None, tmp_path: Path) -> Iterator[Callable[[], tuple[RealHeadscale, Members]]]:
    """Networks for one test, to break."""
    with ExitStack() as ends:
        yield lambda: ends.enter_context(real_network(tmp_path / "net"))
