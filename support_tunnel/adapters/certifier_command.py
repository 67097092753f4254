"""Have a session's key certified by the program that the inventory names: `ssh-keygen -s`, or one that asks a signing service.

It is given only what is public: the key in a file and on stdin, and words. Must not judge the certificate; core does.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from support_tunnel.adapters import processes
from support_tunnel.core.errors import HostError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Vault
from support_tunnel.core.secret import Secret
from support_tunnel.core.session_wish import SessionWish

__all__ = ["CommandCertifier"]

PUBLIC, CERTIFICATE = "session-key.pub", "session-key-cert.pub"
"""`ssh-keygen -s` writes its certificate beside the key, under this name."""
OPTIONS = "{options}"
"""A word of its own that becomes several: what `ssh-keygen -s` takes as -O."""
PATIENCE = 60.0
"""Seconds; a person may have to touch a token."""
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_KNOWN = ("identity", "principal", "public_key", "source", "validity")


class CommandCertifier:
    """`ports.Certifier`. Raises UsageError `config.certificate` for a setting that names no program."""

    def __init__(self, setting: str, vault: Vault) -> None:
        self._words = _words(setting)
        self._vault = vault

    def certify(self, tunnel: TunnelId, wish: SessionWish) -> str:
        # Emptied first: what lies there after a broken-off try is another certificate.
        self._vault.put(tunnel, CERTIFICATE, Secret(b""))
        public = f"{wish.public_key}\n".encode()
        self._vault.put(tunnel, PUBLIC, Secret(public))
        values = {**wish.values(), "public_key": self._vault.path(tunnel, PUBLIC)}
        try:
            argv = self._argv(values, wish.options)
            said = processes.run(argv, stdin=public, timeout=PATIENCE, env=processes.agent()).stdout
        except HostError as error:
            raise HostError(
                "certificate.refused",
                f"no certificate for this session: {error.message}",
                next_step="Correct `session_certificate` (docs/organisation.md), then ask the owner for a new code.",
            ) from None
        return said.strip() or Path(self._vault.path(tunnel, CERTIFICATE)).read_text().strip()

    def _argv(self, values: dict[str, str], options: list[str]) -> list[str]:
        filled = [[_PLACEHOLDER.sub(lambda found: values[found[1]], word)] for word in self._words if word != OPTIONS]
        if OPTIONS in self._words:
            filled.insert(self._words.index(OPTIONS), options)
        return [word for words in filled for word in words]


def _words(setting: str) -> list[str]:
    kind, _, command = setting.partition(":")
    try:
        words = shlex.split(command) if kind == "cmd" else []
    except ValueError:
        words = []
    if not words:
        raise UsageError(
            "config.certificate", "session_certificate is a program with its arguments: cmd:PROGRAM ARGUMENT ..."
        )
    unknown = {name for word in words if word != OPTIONS for name in _PLACEHOLDER.findall(word)} - set(_KNOWN)
    if unknown or words.count(OPTIONS) > 1:
        raise UsageError(
            "config.certificate",
            f"session_certificate: {{{min(unknown, default='options')}}} stands for nothing there",
            next_step=f"There are: {', '.join(f'{{{name}}}' for name in _KNOWN)}, and {OPTIONS} once as a word of its own.",
        )
    return words
