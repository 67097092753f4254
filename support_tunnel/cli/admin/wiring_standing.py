"""The standing Headscale server of the inventory, as flows are given it."""

from __future__ import annotations

import functools
import re
from typing import Final

from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.secret_source import read_secret
from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1 import fields
from support_tunnel.flows.admin.ports import Standing

__all__ = ["standing_server"]

_FORM: Final = re.compile(r"https://(?P<host>\[[0-9a-f:]+\]|[a-z0-9.-]+)(?::(?P<port>[0-9]+))?/?")


def standing_server(settings: AdminSettings) -> Standing | None:
    """Raises UsageError `config.standing`; `secret.source` where the authority's file cannot be read."""
    told = (settings.headscale_server, settings.headscale_authority, settings.headscale_key)
    if not any(told):
        return None
    if not all(told):
        raise UsageError(
            "config.standing",
            "headscale_server, headscale_authority and headscale_key are set together or not at all",
            next_step="Set all three (docs/headscale.md).",
        )
    authority = read_secret(settings.headscale_authority, "headscale_authority").reveal()
    source = settings.headscale_key

    @functools.cache
    def key() -> Secret[str]:
        """Read when it is first needed, and once: env: takes it out of the environment, cmd: may ask somebody."""
        return read_secret(source, "the Headscale API key")

    return Standing(_address(settings.headscale_server), authority, key)


def _address(text: str) -> str:
    """With its port, and as a device may be told it."""
    match = _FORM.fullmatch(text.lower())
    try:
        place = fields.host(f"{match['host']}:{match['port'] or 443}" if match else None, "headscale_server")
    except MessageError:
        raise UsageError(
            "config.standing",
            "headscale_server is not of the form https://NAME, https://NAME:PORT or https://ADDRESS",
            next_step="Write it as the server's own server_url.",
        ) from None
    return f"https://{place}"
