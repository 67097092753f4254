"""Tell another program (a chat, a pager) that a request waits: one POST of metadata, nothing secret, no second try.

Its address is as good as a password, so it is in no message. Redirects are not followed, and no proxy but the inventory's is
asked: what is told goes where the inventory says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from support_tunnel.adapters.http_proxy import HttpProxy
from support_tunnel.core.errors import HostError, UsageError

__all__ = ["Webhook"]

PATIENCE = 5.0
"""Seconds; whoever watches waits that long."""


class Webhook:
    """Raises UsageError `config.webhook` for an address that is not https (http is taken for this machine itself, past any proxy)."""

    def __init__(self, url: str, *, proxy: HttpProxy | None = None) -> None:
        try:
            parts = urlsplit(url)
            fit = bool(parts.hostname) and (
                parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
            )
        except ValueError:
            fit = False
        if not fit:
            raise UsageError("config.webhook", "the webhook is not an address that begins with https://")
        self._url = url
        self._proxy = proxy if parts.scheme == "https" else None

    def tell(self, event: Mapping[str, str]) -> None:
        """Raises HostError `webhook.failed`."""
        import httpx

        try:
            proxy = self._proxy.for_client() if self._proxy else None
            with httpx.Client(timeout=PATIENCE, trust_env=False, follow_redirects=False, proxy=proxy) as client:
                answered = client.post(self._url, json=dict(event))
        except httpx.ProxyError as error:
            raise _failed(f"the proxy {self._proxy} answers with status {str(error)[:3]}") from None
        except httpx.HTTPError as error:
            raise _failed(type(error).__name__) from None
        if not answered.is_success:
            raise _failed(f"status {answered.status_code}")


def _failed(why: str) -> HostError:
    return HostError("webhook.failed", f"the webhook could not be told ({why})", next_step="Look at its address.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
