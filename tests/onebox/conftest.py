"""Real hosts for acceptance tests. What takes many seconds is played once and looked at by many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.cli import paths
from support_tunnel.core.errors import HostError
from tests.onebox.crew import Crew, crew
from tests.onebox.played import Played, play
from tests.onebox.played_by_headscale import PlayedByHeadscale, play_by_headscale


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Two sessions from request to teardown; everything they ran on is gone by now."""
    with crew(consent=True) as people:
        return play(people, tmp_path_factory.mktemp("capture"))


@pytest.fixture(scope="session")
def by_headscale(headscale_tools: None, tmp_path_factory: pytest.TempPathFactory) -> PlayedByHeadscale:
    """The same by the second transport, on nodes of its own."""
    with crew(consent=True) as people:
        return play_by_headscale(people, tmp_path_factory.mktemp("capture"))


@pytest.fixture(scope="session")
def headscale_tools() -> None:
    """Skips only where set-up has looked for the programs and there is no Go to build them."""
    try:
        for program in ("headscale", "tailscale", "tailscaled"):
            built_tool(paths.REPOSITORY, program)
    except HostError as error:
        if error.code != "tool.missing":
            raise
        pytest.skip(f"needs {error.message.removeprefix('there is no ')}")


@pytest.fixture(scope="module")
def people() -> Iterator[Crew]:
    """A device whose owner is asked, and an admin; for the tests of one module, one after another."""
    with crew(consent=False) as made:
        yield made


@pytest.fixture(scope="module")
def trusting() -> Iterator[Crew]:
    """A device whose policy lets the admin in."""
    with crew(consent=True) as made:
        yield made
