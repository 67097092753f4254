"""What a device verb is given: every port it may call, and the settings it obeys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from support_tunnel.core.consent import ConsentPolicy
from support_tunnel.core.ports import Acquaintances, Clock, Hooks, Journal, Mailbox, Progress, Prompt, Shell, Vault
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.signer import Trust
from support_tunnel.flows.library import Library

__all__ = ["DevicePorts", "MailboxFor"]


class MailboxFor(Protocol):
    """A mailbox for the bearer of a device token: a later process ends a tunnel that an earlier one asked for."""

    def __call__(self, device_token: Secret[str], *, patient: bool = True) -> Mailbox:
        """`patient=False` where a person waits for the end of a session: an API that is away is not asked again."""
        ...


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
    hooks: Hooks
    library: Library
    trust: Callable[[], Trust]
    """Whom this device lets ask, as it is now: a request may wait for a day, and a key be revoked meanwhile."""
    policy: Callable[[], ConsentPolicy | None]
    """Root-owned consent policy, as it is now; None where the owner is always asked."""
    max_sessions: int = 1
    """Requests and sessions that this device may have at once."""
    tailscale: str = ""
    """Folder of `tailscale` and `tailscaled` on this device; empty where it has none, and offers no Headscale."""
