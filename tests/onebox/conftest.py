"""Real hosts for acceptance tests. What takes many seconds is played once and looked at by many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.onebox.crew import Crew, crew
from tests.onebox.played import Played, play


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Two sessions from request to teardown; everything they ran on is gone by now."""
    with crew(consent=True) as people:
        return play(people, tmp_path_factory.mktemp("capture"))


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
