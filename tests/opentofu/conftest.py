"""OpenTofu and the stand-ins as set-up built them, once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from support_tunnel.adapters.built_tools import built_tool
from support_tunnel.cli import paths
from support_tunnel.core.errors import HostError
from tests.opentofu.tofu import CONFIGURATIONS, Tofu, copy_of, make_mirror


@pytest.fixture(scope="session")
def tofu(tmp_path_factory: pytest.TempPathFactory) -> Tofu:
    """Skipped where set-up found no Go that could build it; a set-up that has not run is a failure."""
    try:
        program, stand_in = (built_tool(paths.REPOSITORY, name) for name in ("tofu", "stand-in-provider"))
    except HostError as error:
        if error.code != "tool.missing":
            raise
        pytest.skip(error.message)
    mirror = tmp_path_factory.mktemp("mirror")
    made = Tofu(program, mirror)
    make_mirror(mirror, stand_in, made.platform())
    return made


@pytest.fixture(scope="session", params=CONFIGURATIONS)
def configuration(request: pytest.FixtureRequest, tofu: Tofu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of one configuration after `tofu init`."""
    copy = copy_of(request.param, tmp_path_factory.mktemp("opentofu") / "opentofu")
    tofu.ready(copy)
    return copy
