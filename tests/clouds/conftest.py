"""The clouds that tests play, for all that is asked of every one of them."""

from __future__ import annotations

from tests.clouds.test_every_cloud import site

__all__ = ["site"]
