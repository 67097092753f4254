"""Who plays which cloud for tests/clouds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.clouds.amazon import Amazon
from tests.clouds.gate import Provider

__all__ = ["PLAYED"]

PLAYED: Mapping[str, Callable[[], Provider]] = {"ec2": Amazon}
