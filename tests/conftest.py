"""What every test may rely on: one-box tests run as root on a machine that has /dev/net/tun, or say why they do not.

There is no skip for a missing program: ./test installs them, so one that is missing is a failure with its name in it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def missing_for_onebox() -> str:
    """Name what set-up cannot give a one-box test, or nothing."""
    if os.geteuid() != 0:
        return "needs root: run ./test, which uses sudo"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun, which this kernel or container does not give"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if reason := missing_for_onebox():
        for item in items:
            if item.get_closest_marker("onebox"):
                item.add_marker(pytest.mark.skip(reason=reason))
