"""What a device verb is given: every port it may call, and the settings it obeys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support_tunnel.core.consent import ConsentPolicy
from support_tunnel.core.ports import Acquaintances, Clock, Journal, Mailbox, Progress, Prompt, Shell, Vault
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.signer import Trust
from support_tunnel.flows.library import Library

__all__ = ["DevicePorts", "MailboxFor"]

MailboxFor = Callable[[Secret[str]], Mailbox]
"""A mailbox for the bearer of this device token: a later process ends a tunnel that an earlier one asked for."""


@dataclass(frozen=True, slots=True)
class DevicePorts:
    clock: Clock
    shell: Shell
    mailbox_for: MailboxFor
    vault: Vault
    journal: Journal
    acquaintances: Acquaintances
    prompt: Prompt
    progress: Progress
    library: Library
    trust: Trust
    policy: ConsentPolicy | None
    """Root-owned consent policy; None where the owner is always asked."""
