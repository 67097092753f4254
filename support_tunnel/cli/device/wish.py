"""What an owner says when they ask for support: the flags that `request` and `request-and-connect-tunnel` share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from support_tunnel.cli.device.ready import check_times
from support_tunnel.cli.flags import flag
from support_tunnel.cli.output import shows_pictures, stdout_is_journal
from support_tunnel.core.errors import UsageError
from support_tunnel.core.transports import transports

if TYPE_CHECKING:
    from support_tunnel.cli.device.handing_over import Handing
    from support_tunnel.cli.device.settings import DeviceSettings
    from support_tunnel.flows.device.request import Wish

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The flags as they were given; minutes."""

    ttl: int = flag(30, "minutes the helper may stay at most (default 30, at most 480)")
    name: str = flag("", "how this device is called on the helper's screen (default: its host name)")
    wait: int = flag(60, "minutes to wait for a helper before giving up (default 60)")
    code_file: str = flag("", "also write the code into this new file (0600)")
    phone: bool = flag(False, "a code of 13 words, to be read over the phone")
    qr: bool = flag(False, "also show the code as a QR, for a helper's camera")
    files: bool = flag(False, "also offer to copy files both ways")
    port: Sequence[str] = flag(
        (), "also offer this TCP port of the device's own (127.0.0.1); may be given more than once"
    )
    approve_in_advance: bool = flag(False, "say yes now, to whoever has the code; nobody is asked later")
    transport: str = flag(
        "wireguard",
        "how the helper's server and this device reach each other: wireguard (default), headscale, or auto (WireGuard, WireGuard by UDP 443, with --pq prefer Headscale)",
    )
    pq: str = flag(
        "require",
        "require (default): only what is post-quantum on its own; prefer: also headscale, where only the ssh inside is",
    )
    allow_classical: bool = flag(
        False, "go on although this device has no ML-KEM: what is sent could be read with a later quantum computer"
    )
    answers_on_stdin: bool = flag(
        False,
        "a program asks the owner: questions come as JSON, answers are read from stdin, a line each (with --json)",
    )
    json: bool = flag(False, "one line of JSON a result, for programs")

    def check(self) -> None:
        """Raises UsageError `usage.range`, `usage.transport`, `transport.pq`, `code.journal`, `qr.terminal`."""
        transports(self.transport, self.pq)
        check_times(ttl=self.ttl, wait=self.wait)
        if stdout_is_journal(os.environ) and not self.code_file:
            raise UsageError(
                "code.journal",
                "stdout is the journal, where a code must not be written",
                next_step="Give --code-file PATH.",
            )
        if self.qr and (self.json or not shows_pictures(os.environ)):
            raise UsageError(
                "qr.terminal",
                "a QR is drawn only on a terminal that shows UTF-8 and colours, and not with --json",
                next_step="Leave --qr out, or run it in such a terminal.",
            )

    def wish(self, settings: DeviceSettings) -> Wish:
        from support_tunnel.core.scope import Scope
        from support_tunnel.flows.device.request import Wish

        return Wish(
            scope=Scope("shell", tuple(_port(text) for text in self.port), self.files),
            ttl=self.ttl * 60,
            name=self.name or settings.name,
            patience=self.wait * 60,
            phone=self.phone,
            approved=self.approve_in_advance,
            allow_classical=self.allow_classical,
            transports=transports(self.transport, self.pq),
        )

    def handing(self) -> Handing:
        from support_tunnel.cli.device.handing_over import Handing

        return Handing(
            file=Path(self.code_file) if self.code_file else None,
            as_json=self.json,
            to_stdout=not stdout_is_journal(os.environ),
            as_qr=self.qr,
        )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError("usage.range", "--port is a number from 1 to 65535")
    return int(text)
