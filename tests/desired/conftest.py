"""Every script of these tests is run by dash and by busybox ash, below a folder of the test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.desired.bench import SHELLS, Bench


@pytest.fixture(params=SHELLS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    made = Bench(tmp_path, SHELLS[request.param])
    made.root.mkdir()
    assert shutil.which(made.shell[0]), f"{made.shell[0]} is missing; ./test installs it"
    return made


@pytest.fixture
def dash(tmp_path: Path) -> Bench:
    """The same with dash only, for what does not depend on the shell."""
    made = Bench(tmp_path, SHELLS["dash"])
    made.root.mkdir()
    return made
