"""Look at the API as a doctor does: is it there, is it the right one, what time is it there, and may we send UDP at all.

Carries no token and changes nothing. Whether the network beyond this machine lets UDP through is not seen here: the API
takes none, so nothing would answer; that shows in a session's handshake.
"""

from __future__ import annotations

import errno
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from support_tunnel.adapters.http_proxy import HttpProxy
from support_tunnel.adapters.mailbox_http import HttpMailbox
from support_tunnel.core.errors import HostError
from support_tunnel.core.ports import ApiSeen, Clock

__all__ = ["HttpApiLook"]

_DISCARD = 9
_REFUSED = {errno.EPERM, errno.EACCES}
"""What a packet filter's drop on the way out looks like to the sender (sendto(2))."""


class HttpApiLook:
    """`ports.ApiLook` with the same TLS, pin and proxy as the mailbox."""

    def __init__(self, url: str, *, clock: Clock, fingerprint: str | None, proxy: HttpProxy | None = None) -> None:
        self._mailbox = HttpMailbox(url, clock=clock, fingerprint=fingerprint, patience=0.0, proxy=proxy)
        # Behind a proxy the API's name may mean nothing here, while the proxy's has to.
        self._near = proxy.host if proxy else urlsplit(url).hostname or ""
        self._clock = clock

    def see(self) -> ApiSeen:
        before = self._clock.now()
        with self._mailbox as mailbox:
            stated = mailbox.health()
        return ApiSeen(_time(stated), before + (self._clock.now() - before) / 2)

    def send_udp(self) -> None:
        try:
            family, _, _, _, address = socket.getaddrinfo(self._near, _DISCARD, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, socket.SOCK_DGRAM) as out:
                out.sendto(b"", address)
        except OSError as error:
            if error.errno in _REFUSED:
                raise HostError(
                    "udp.blocked",
                    "a packet filter of this device lets no UDP out, and tunnels are UDP",
                    next_step="Allow outgoing UDP in it (`nft list ruleset` shows the rule).",
                ) from None
            raise HostError(
                "udp.unreachable", f"no UDP gets out: {error.strerror}", next_step="Check the network."
            ) from None


def _time(stated: str) -> datetime | None:
    try:
        return parsedate_to_datetime(stated).astimezone(UTC)
    except (TypeError, ValueError):
        return None
