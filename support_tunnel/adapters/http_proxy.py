"""The HTTP proxy between this machine and the API, where a setting names one; the environment's `https_proxy` is never asked.

A variable in the environment of a root process must not redirect it. Through a proxy everything goes by CONNECT, so TLS, its pin
included, holds from here to the API: a proxy can cut, delay and count, and read nothing. Its own password travels in clear to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.secret import Secret

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpProxy", "Route"]

_GATEWAY = {502, 503, 504}
"""The proxy works, and could not reach what was asked for (RFC 9110, 15.6)."""


class Route:
    """How far a request that fails had come: a new connection is at the proxy until TLS to the API begins on it."""

    def __init__(self) -> None:
        self.at_proxy = False

    def follow(self, event: str, info: Mapping[str, Any]) -> None:
        """Take the events of httpcore's `trace` extension."""
        if event.endswith("connect_tcp.started"):
            self.at_proxy = True
        elif event.endswith("start_tls.started"):
            self.at_proxy = False


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """`setting` says where it was set, for messages."""

    host: str
    port: int
    setting: str
    user: str = ""
    password: Secret[str] | None = None

    @classmethod
    def parse(cls, address: str, *, setting: str, password: Secret[str] | None = None) -> HttpProxy:
        """Read `http://[user@]name:port`. Raises UsageError `config.proxy` naming the setting, never the value."""
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _wrong(setting) from None
        if parts.scheme != "http" or not host or port is None or parts.path.strip("/") or parts.query or parts.fragment:
            raise _wrong(setting)
        if parts.password is not None:
            raise UsageError(
                "config.proxy",
                f"{setting}: a password does not belong in an address, which is shown",
                next_step="Name where it is: proxy-password-file on a device, proxy_password in the inventory.",
            )
        user = unquote(parts.username or "")
        if ":" in user or re.search(r"[\x00-\x20\x7f]", f"{user}{host}") or (password is not None and not user):
            raise _wrong(setting)
        return cls(host, port, setting, user, password)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def for_client(self) -> httpx.Proxy:
        import httpx

        host = f"[{self.host}]" if ":" in self.host else self.host
        given = self.password.reveal() if self.password else ""
        return httpx.Proxy(f"http://{host}:{self.port}", auth=(self.user, given) if self.user else None)

    def fault(self, error: httpx.TransportError, route: Route) -> HostError | None:
        """What the proxy has to do with a request that failed; None when the failure is the API's. Its words are not repeated."""
        import httpx

        if isinstance(error, httpx.ProxyError):
            return self._refused(int(str(error)[:3]))
        if not route.at_proxy:
            return None
        return HostError(
            "proxy.unreachable",
            f"the proxy {self} does not answer as a proxy ({type(error).__name__})",
            next_step=f"Check address and port in {self.setting}, and the network.",
        )

    def _refused(self, status: int) -> HostError:
        if status in _GATEWAY:
            return HostError(
                "api.unreachable",
                f"the proxy {self} does not reach the API (status {status})",
                next_step=f"Check the API's address, and whether the proxy may go there ({self.setting}).",
            )
        why = "wants another user name or password" if status == 407 else "lets nobody through to the API"
        return HostError(
            "proxy.refused",
            f"the proxy {self} {why} (status {status})",
            next_step=f"Look at {self.setting}, and ask whoever runs the proxy to allow CONNECT to the API's port.",
        )

    def suspected(self, found: HostError) -> HostError:
        """Of a wrong certificate: the proxy is the first that could have shown it."""
        return HostError(
            found.code,
            f"{found.message} (it came through the proxy {self})",
            next_step=f"A proxy that opens TLS must let the API pass unopened ({self.setting}). {found.next_step}",
        )


def _wrong(setting: str) -> UsageError:
    return UsageError(
        "config.proxy",
        f"{setting} is not of the form http://name:port or http://user@name:port",
        next_step="The proxy itself is spoken to in plain http; what passes through it is TLS to the API.",
    )
