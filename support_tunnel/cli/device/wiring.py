"""Build the device's ports from its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from support_tunnel.adapters.http_proxy import HttpProxy
from support_tunnel.cli import paths
from support_tunnel.cli.called import as_called
from support_tunnel.cli.device.settings import DeviceSettings, load_device_settings, load_policy
from support_tunnel.cli.device.trust import load_trust
from support_tunnel.cli.tailnet_programs import on_this_machine
from support_tunnel.cli.wiring import wrapped
from support_tunnel.core.consent import ConsentPolicy
from support_tunnel.core.errors import UsageError
from support_tunnel.core.ports import Mailbox, Prompt
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.signer import Trust
from support_tunnel.flows.device.ports import DevicePorts

__all__ = ["device_ports", "ending_ports", "keeper_command", "need_root"]


def device_ports(settings: DeviceSettings | None = None, *, prompt: Prompt | None = None) -> DevicePorts:
    """`prompt` asks the owner; at the terminal by default. Raises UsageError when this is not root, or when settings are wrong."""
    need_root()
    settings = settings or load_device_settings(os.environ)
    load_trust(settings), load_policy()  # what is wrong with them is said before anything is asked for
    return _ports(settings, _trust_now, load_policy, settings.http_proxy(), prompt)


def _trust_now() -> Trust:
    return load_trust(load_device_settings(os.environ))


def ending_ports() -> DevicePorts:
    """For what only looks and ends: that works whatever has become of the settings since a session was opened."""
    need_root()
    try:
        settings = load_device_settings(os.environ, api_needed=False)
        return _ports(settings, Trust, _no_policy, settings.http_proxy())
    except UsageError as wrong:
        sys.stderr.write(f"Going on without API and scripts: {wrong.message}.\n")
        return _ports(DeviceSettings("", "", ""), Trust, _no_policy, None)


def _no_policy() -> None:
    """Who only ends lets nobody in."""


def need_root() -> None:
    """Raises UsageError `device.root`."""
    if os.geteuid() != 0:
        raise UsageError("device.root", "this needs root on the device", next_step="Run it again with sudo.")


def _ports(
    settings: DeviceSettings,
    trust: Callable[[], Trust],
    policy: Callable[[], ConsentPolicy | None],
    proxy: HttpProxy | None,
    prompt: Prompt | None = None,
) -> DevicePorts:
    from support_tunnel.adapters.acquaintances_disk import DiskAcquaintances
    from support_tunnel.adapters.clock import SystemClock
    from support_tunnel.adapters.hook_scripts import HookScripts
    from support_tunnel.adapters.journal_disk import DiskJournal
    from support_tunnel.adapters.local_shell import LocalShell
    from support_tunnel.adapters.progress import progress_for
    from support_tunnel.adapters.terminal import TerminalPrompt
    from support_tunnel.adapters.vault_tmpfs import TmpfsVault

    clock = SystemClock()
    progress = progress_for(sys.stderr)

    def mailbox_for(device_token: Secret[str], *, patient: bool = True) -> Mailbox:
        if not settings.api:
            from support_tunnel.adapters.mailbox_away import AwayMailbox

            return wrapped("mailbox", AwayMailbox("the settings name no API"))
        from support_tunnel.adapters.mailbox_http import HttpMailbox

        mailbox = HttpMailbox(
            settings.api,
            clock=clock,
            fingerprint=settings.api_fingerprint or None,
            device_token=device_token,
            patience=10.0 if patient else 0.0,
            proxy=proxy,
        )
        return wrapped("mailbox", mailbox)

    vault = TmpfsVault(paths.DEVICE_VAULT, above=[paths.DEVICE_VAULT.parent])
    journal = DiskJournal(paths.DEVICE_LOG, vault, clock, **({"echo": progress.note} if settings.debug else {}))
    return DevicePorts(
        clock=clock,
        shell=wrapped("shell", LocalShell()),
        mailbox_for=mailbox_for,
        vault=wrapped("vault", vault),
        journal=wrapped("journal", journal),
        acquaintances=wrapped("acquaintances", DiskAcquaintances(paths.DEVICE_STATE)),
        prompt=wrapped("prompt", prompt or TerminalPrompt(wording=as_called)),
        progress=progress,
        hooks=wrapped("hooks", HookScripts(settings.hooks)),
        library=paths.library(),
        trust=trust,
        policy=policy,
        max_sessions=settings.max_sessions,
        tailscale=on_this_machine(settings.tailscale),
    )


def keeper_command(settings: DeviceSettings) -> tuple[str, ...]:
    """How systemd starts the keeper: this interpreter, this package, from anywhere, with the API and the way to it that we have used.

    What the environment of this process said would not reach it otherwise. None of the words is a secret: of the proxy's password
    there is only the file's name.
    """
    told = (
        f"SUPPORT_TUNNEL_API={settings.api}",
        f"SUPPORT_TUNNEL_API_FINGERPRINT={settings.api_fingerprint}",
        f"SUPPORT_TUNNEL_PROXY={settings.proxy}",
        f"SUPPORT_TUNNEL_PROXY_PASSWORD_FILE={settings.proxy_password_file}",
    )
    return (
        "/usr/bin/env",
        "-C",
        str(paths.REPOSITORY),
        *told,
        sys.executable,
        "-m",
        "support_tunnel.cli.device.keeper",
    )
