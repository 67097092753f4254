"""Every name on a host that belongs to a tunnel, derived from its id, so that clean-up finds things without a database."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

from support_tunnel.core.errors import UsageError

__all__ = ["DEVICE_LOG_FOLDER", "SHORT", "Names", "TunnelId", "parse_tunnel_id"]

TunnelId = NewType("TunnelId", str)
"""32 lower-case hex digits: the 16 bytes that ST1 derives from the code (docs/protocol.md, 2.2)."""

DEVICE_LOG_FOLDER = "/var/log/support_tunnel"
"""Where a device keeps SHORT.jsonl, the log of each session: on disk before anything else of it is."""

SHORT = re.compile(r"[0-9a-f]{8}")


def parse_tunnel_id(text: str) -> TunnelId:
    """Accept a whole tunnel id. Raises UsageError `tunnel.id`."""
    cleaned = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{32}", cleaned):
        raise UsageError(
            "tunnel.id", "a tunnel id is 32 hex digits", next_step="Copy it from `fab list` or from the owner."
        )
    return TunnelId(cleaned)


@dataclass(frozen=True, slots=True)
class Names:
    """Names for one tunnel; each fits its namespace for every id (Linux interface: 15 characters)."""

    tunnel: TunnelId

    @property
    def short(self) -> str:
        return self.tunnel[:8]

    @property
    def user(self) -> str:
        """Session account on the device."""
        return f"st{self.short}"

    @property
    def principal(self) -> str:
        """What a certificate has to name to log in to this session, and to no other (2.9)."""
        return f"st-{self.short}"

    @property
    def interface(self) -> str:
        """WireGuard interface on the device, and the nft table of the same name."""
        return f"st-{self.short}"

    @property
    def session_unit(self) -> str:
        """systemd unit that holds the session's sshd and everything started from it."""
        return f"st-{self.short}.service"

    @property
    def tunnel_unit(self) -> str:
        """systemd unit that holds the interface and the nft table."""
        return f"st-{self.short}-tunnel.service"

    @property
    def keeper_unit(self) -> str:
        """systemd unit that watches the clocks and the mailbox for the session, outside it."""
        return f"st-{self.short}-keeper.service"

    @property
    def request_unit(self) -> str:
        """systemd unit that ends a request which waits without a tool; its timer has the same name."""
        return f"st-{self.short}-request"

    @property
    def server(self) -> str:
        """Cloud name of the tunnel server."""
        return f"support-tunnel-{self.short}"

    @property
    def image(self) -> str:
        """Cloud name of the image that is made of that server, where it is launched for one."""
        return f"support-tunnel-image-{self.short}"
