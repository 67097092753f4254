"""Build the device's ports from its settings."""

from __future__ import annotations

import os
import sys

from support_tunnel.cli import paths
from support_tunnel.cli.device_settings import DeviceSettings, load_device_settings, load_policy
from support_tunnel.cli.wiring import wrapped
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Mailbox
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.signer import Trust
from support_tunnel.flows.device.ports import DevicePorts

__all__ = ["device_ports", "keeper_command"]


def device_ports(settings: DeviceSettings | None = None) -> DevicePorts:
    """Raises UsageError when this is not root, or when the settings are wrong."""
    from support_tunnel.adapters.acquaintances_disk import DiskAcquaintances
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.journal_disk import DiskJournal
    from support_tunnel.adapters.local_shell import LocalShell
    from support_tunnel.adapters.progress import progress_for
    from support_tunnel.adapters.terminal import TerminalPrompt
    from support_tunnel.adapters.vault_tmpfs import TmpfsVault

    if os.geteuid() != 0:
        raise UsageError("device.root", "this needs root on the device", next_step="Run it again with sudo.")
    settings = settings or load_device_settings(os.environ)
    clock = SystemClock()

    def mailbox_for(device_token: Secret[str], *, patient: bool = True) -> Mailbox:
        from support_tunnel.adapters.mailbox_http import HttpMailbox

        mailbox = HttpMailbox(
            settings.api,
            clock=clock,
            fingerprint=settings.api_fingerprint or None,
            device_token=device_token,
            patience=10.0 if patient else 0.0,
        )
        return wrapped("mailbox", mailbox)

    vault = TmpfsVault(paths.DEVICE_VAULT)
    return DevicePorts(
        clock=clock,
        shell=wrapped("shell", LocalShell()),
        mailbox_for=mailbox_for,
        vault=wrapped("vault", vault),
        journal=wrapped("journal", DiskJournal(paths.DEVICE_LOG, vault, clock)),
        acquaintances=wrapped("acquaintances", DiskAcquaintances(paths.DEVICE_STATE)),
        prompt=wrapped("prompt", TerminalPrompt()),
        progress=progress_for(sys.stderr),
        library=paths.library(),
        trust=Trust(),
        policy=load_policy(),
    )


def keeper_command() -> tuple[str, ...]:
    """How systemd starts the keeper: this interpreter, this package, from anywhere."""
    return ("/usr/bin/env", "-C", str(paths.REPOSITORY), sys.executable, "-m", "support_tunnel.cli.keeper")
