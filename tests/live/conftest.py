"""What costs money runs only when it is asked for: `pytest -m live`."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if "live" in str(config.getoption("markexpr")) else True
