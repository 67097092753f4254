"""Every script of these tests is run by dash and by busybox ash, below a folder of the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.desired.bench import SHELLS, Bench, make_bench


@pytest.fixture(params=SHELLS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return make_bench(tmp_path, request.param)


@pytest.fixture
def dash(tmp_path: Path) -> Bench:
    """The same with dash only, for what does not depend on the shell."""
    return make_bench(tmp_path, "dash")
