"""The admin's signing key as the settings name it, with an organisation's certificate for it where there is one (2.8)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from support_tunnel.cli.admin.settings import AdminSettings
from support_tunnel.cli.secret_source import read_secret
from support_tunnel.core.errors import UsageError
from support_tunnel.core.own_certificates import signer_certificate
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.signer import KeySigner

__all__ = ["certified_signer", "public_file"]


def certified_signer(settings: AdminSettings, *, now: datetime) -> KeySigner:
    """Raises UsageError `signer.missing`, `signer.unreadable`, `key.ssh`, `signer.certificate`, `signer.expired`."""
    file = settings.path(settings.signer)
    if not file.exists():
        raise UsageError(
            "signer.missing",
            f"you have no key that owners could recognise ({file})",
            next_step="Make one, once: fab key.create",
        )
    try:
        private = Secret(file.read_text(errors="replace"))
    except OSError as error:
        raise UsageError(
            "signer.unreadable",
            f"{file} cannot be read: {error.strerror}",
            next_step=f"It should be a file that you can read: ls -l {file}",
        ) from None
    bare = KeySigner.from_openssh(private)
    text = _certificate(settings, file)
    if text is None:
        return bare
    return KeySigner.from_openssh(private, certificate=signer_certificate(text, bare.line, now=now))


def public_file(key: Path) -> Path:
    """Where `ssh-keygen` looks for the public half of a key, and puts its certificate beside."""
    return key.with_name(f"{key.name}.pub")


def _certificate(settings: AdminSettings, key: Path) -> str | None:
    if settings.signer_certificate:
        return read_secret(settings.signer_certificate, "signer_certificate").reveal()
    beside = key.with_name(f"{key.name}-cert.pub")
    return beside.read_text(errors="replace") if beside.exists() else None
