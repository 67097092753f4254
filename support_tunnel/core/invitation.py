"""What a helper is handed who has nothing of ours: Tailscale's client and ssh do it all, by lines to copy and two files.

Every value is quoted for a POSIX shell, because a helper pastes what a device and a server had a part in. The join key is in its file
and in no line: what is pasted stays in a shell's history, and arguments are for everybody on the machine to read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from support_tunnel.core import addressing
from support_tunnel.core.errors import UsageError
from support_tunnel.core.names import Names, TunnelId
from support_tunnel.core.secret import Secret
from support_tunnel.core.tailnet.labels import label

__all__ = ["Invitation"]

_HOST_KEY: Final = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{68}")


@dataclass(frozen=True, slots=True)
class Invitation:
    """Of one helper to one connected tunnel. Raises UsageError `invitation.value` for what cannot stand in a line."""

    tunnel: TunnelId
    name: str
    control: str
    """The Headscale server, https."""
    authority: str
    """PEM of the one that vouches for it."""
    key: Secret[str]
    """Lets join once, for minutes."""
    address: str
    """Of the device in the network."""
    user: str
    host_key: str
    """Of the device's session, `ssh-ed25519 AAAA...`."""
    until: datetime

    def __post_init__(self) -> None:
        told = (self.control, self.address, self.user)
        if not all(text.isascii() and text.isprintable() and not text.startswith("-") for text in told):
            raise UsageError("invitation.value", "an address or a user's name cannot stand in a line for a helper")
        if not self.name.isprintable():
            raise UsageError("invitation.value", "the helper's name is not one line of printable text")
        if not _HOST_KEY.fullmatch(self.host_key):
            raise UsageError("invitation.value", "the host key of the session is not an Ed25519 key")

    @property
    def key_file(self) -> str:
        """Its name; the same text as a ticket's or a helper's label, so that it is one word."""
        return f"{self._mark}-{label(self.name)}.key"

    @property
    def files(self) -> Mapping[str, Secret[str]]:
        """By name, what goes to the helper beside the lines, each for their eyes only."""
        return {self.key_file: self.key, self._authority_file: Secret(self.authority)}

    @property
    def lines(self) -> str:
        """What to paste, in the folder of the files, on Linux; lines of `#` say who pastes it and why."""
        join = [
            *("tailscale", "up", f"--login-server={self.control}", f"--auth-key=file:{self.key_file}"),
            *("--accept-dns=false", "--accept-routes=false", "--shields-up"),
        ]
        known = f"{self._mark}.known_hosts"
        login = [
            # Neither agent nor screen is lent to a machine that needs help, whatever the helper's own settings say.
            *("ssh", "-a", "-x", "-o", f"HostKeyAlias={self._mark}", "-o", f"UserKnownHostsFile={known}"),
            *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no"),
            *("-o", "HostKeyAlgorithms=ssh-ed25519", f"{self.user}@{self.address}", "-p", str(addressing.SESSION_PORT)),
        ]
        return "\n".join(
            [
                f"# For {self.name}, until {self.until:%Y-%m-%d %H:%M} UTC. In the folder with {' and '.join(self.files)}.",
                *self._trust(),
                "# As root: join the network of this session. The key is good once, and for minutes.",
                shlex.join(join),
                f"rm -f {self.key_file}",
                "# As yourself: log in, with the key whose public half you gave; say -i FILE where ssh does not find it.",
                f"echo {shlex.quote(f'{self._mark} {self.host_key}')} >{known}",
                shlex.join(login),
                "# Afterwards, as root: leave.",
                "tailscale logout",
                *self._forget(),
                f"rm -f {' '.join([known, *self.files])}",
                "",
            ]
        )

    @property
    def _mark(self) -> str:
        return f"st-{Names(self.tunnel).short}"

    @property
    def _authority_file(self) -> str:
        return f"{self._mark}.pem"

    @property
    def _drop_in(self) -> str:
        return f"{_DROP_INS}/{self._mark}.conf"

    def _trust(self) -> list[str]:
        trusted = f"/run/{self._authority_file}"
        # Both: beside the file of authorities Go reads a folder of them. There is none by this name.
        setting = rf"[Service]\nEnvironment=SSL_CERT_FILE={trusted} SSL_CERT_DIR=/run/{self._mark}.no-others\n"
        return [
            "# As root: have Tailscale trust this server's own authority, and no other, until you leave or the machine restarts.",
            f"mkdir -p {_DROP_INS}",
            f"cp {self._authority_file} {trusted}",
            f"printf {shlex.quote(setting)} >{self._drop_in}",
            *_RESTART,
        ]

    def _forget(self) -> list[str]:
        return [
            f"rm -f {self._drop_in} /run/{self._authority_file}",
            f"rmdir --ignore-fail-on-non-empty {_DROP_INS}",
            *_RESTART,
        ]


_DROP_INS: Final = "/run/systemd/system/tailscaled.service.d"
_RESTART: Final = ("systemctl daemon-reload", "systemctl restart tailscaled")
