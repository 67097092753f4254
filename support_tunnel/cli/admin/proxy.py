"""The proxy of the admin's settings, with its password read from where the inventory says it is."""

from __future__ import annotations

import functools

from support_tunnel.adapters.http_proxy import HttpProxy
from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.secret_source import read_secret
from support_tunnel.core.errors import UsageError
from support_tunnel.core.secret import Secret

__all__ = ["http_proxy"]

SETTING = "support_tunnel.proxy in the inventory or SUPPORT_TUNNEL_PROXY"


def http_proxy(settings: AdminSettings) -> HttpProxy | None:
    """None when no proxy is set. Raises UsageError `config.proxy`, `secret.source`."""
    if settings.proxy_password and not settings.proxy:
        raise UsageError("config.proxy", "proxy_password is set, and no proxy")
    if not settings.proxy:
        return None
    password = _password(settings.proxy_password) if settings.proxy_password else None
    return HttpProxy.parse(settings.proxy, setting=SETTING, password=password)


@functools.cache
def _password(source: str) -> Secret[str]:
    """Read once: env: takes it out of the environment, and a program may ask a person."""
    return read_secret(source, "the proxy's password")
