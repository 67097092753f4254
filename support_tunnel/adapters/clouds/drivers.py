"""How a driver is made safely: libcloud's own switches in the environment could leak credentials or make two servers of one."""

from __future__ import annotations

import os
from typing import Any

from support_tunnel.core.errors import UsageError

__all__ = ["REQUEST_SECONDS", "driver_class", "make_safe", "point_at"]

REQUEST_SECONDS = 60
"""Longest that one request to a cloud may take."""


def make_safe() -> None:
    """Before any driver is made. Raises UsageError `cloud.debug` when libcloud would log whole requests."""
    if os.environ.get("LIBCLOUD_DEBUG"):
        raise UsageError(
            "cloud.debug",
            "LIBCLOUD_DEBUG is set, which would write credentials and user-data to a file",
            next_step="Unset it: unset LIBCLOUD_DEBUG",
        )
    from libcloud.common import base

    # Any text in LIBCLOUD_RETRY_FAILED_HTTP_REQUESTS, "false" too, turns it on, and then a create is sent twice.
    base.RETRY_FAILED_HTTP_REQUESTS = False


def driver_class(name: str) -> Any:
    """libcloud's driver of this name. Raises as `make_safe`."""
    make_safe()
    from libcloud.compute.providers import get_driver

    return get_driver(name)


def point_at(driver: Any, url: str) -> Any:
    """Let `driver` speak to another host than its own, such as a test's; some constructors swallow `host` or fail on it."""
    from urllib.parse import urlsplit

    if url:
        parts = urlsplit(url)
        connection = driver.connection
        connection.secure = parts.scheme == "https"
        connection.host, connection.port = parts.hostname, parts.port or (443 if connection.secure else 80)
        connection.base_url = url.rstrip("/")
        connection.connect()
    return driver
