"""What the login of one session needs certified (2.9): asked of an organisation by the admin's tool, as `ssh-keygen -s` puts it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import Names, TunnelId

__all__ = ["EARLIER", "SessionWish", "identity"]

EARLIER: Final = timedelta(minutes=5)
"""How long before the device's own time a session's certificate begins."""

_TICKET: Final = re.compile(r"[A-Za-z0-9._@+-]{1,32}")


@dataclass(frozen=True, slots=True)
class SessionWish:
    """What the login of one session needs certified; the times are the device's."""

    public_key: str
    principal: str
    identity: str
    after: datetime
    before: datetime
    source: str
    """From where alone the certificate counts: the tunnel server's address inside the tunnel, or a network of many; several with commas."""
    forwards: bool
    """Whether the owner offered ports: without this extension the device's sshd would not forward to them either."""

    @property
    def extensions(self) -> tuple[str, ...]:
        return ("permit-port-forwarding", "permit-pty") if self.forwards else ("permit-pty",)

    @property
    def options(self) -> list[str]:
        """As `ssh-keygen -s` takes them."""
        named = ["clear", *self.extensions, f"source-address={self.source}"]
        return [word for one in named for word in ("-O", one)]

    def values(self) -> Mapping[str, str]:
        """By the names that stand between braces in the setting; times as `ssh-keygen -V` reads them, in UTC."""
        return {
            "identity": self.identity,
            "principal": self.principal,
            "source": self.source,
            "validity": ":".join(when.astimezone(UTC).strftime("%Y%m%d%H%M%SZ") for when in (self.after, self.before)),
        }


def identity(tunnel: TunnelId, name: str, ticket: str) -> str:
    """The certificate's key id, which the device logs: `st:<8 digits>:<admin>:<ticket>`. Raises UsageError `usage.ticket`.

    One word without a sign that a shell could act on: a signing service may be reached by ssh, which joins words for one.
    """
    if ticket and not _TICKET.fullmatch(ticket):
        raise UsageError("usage.ticket", "a ticket is 1 to 32 letters, digits and ._@+-")
    return f"st:{Names(tunnel).short}:{re.sub('[^A-Za-z0-9._@+-]', '_', name)}:{ticket or '-'}"
