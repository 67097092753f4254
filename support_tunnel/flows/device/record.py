"""What the device keeps of a tunnel between processes: one JSON document in the vault, on tmpfs, gone with a reboot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from support_tunnel.core.errors import MessageError, UsageError
from support_tunnel.core.names import TunnelId
from support_tunnel.core.ports import Vault
from support_tunnel.core.scope import Scope
from support_tunnel.core.secret import Secret
from support_tunnel.core.st1.control import Channel
from support_tunnel.core.st1.people import Helper

__all__ = ["Record", "load_channel", "load_record", "save_channel", "save_record"]

_NAME = "tunnel"
_CHANNEL = "channel"


@dataclass(frozen=True, slots=True)
class Record:
    """`stage` only moves forward: requested, answered (an answer was confirmed), opening, active."""

    stage: str
    device_token: Secret[str]
    requested: datetime
    until: datetime
    """Of the request while nobody has answered; of the session afterwards."""
    scope: Scope
    """The most that is offered; what is granted, from the answer on."""
    ttl: int
    """Seconds, likewise."""
    approved_for: tuple[str, ...] | None = None
    """Organisations whose helpers the owner approved in advance; empty: whoever answers; None: the owner is asked."""
    boottime_limit: float = 0.0
    """CLOCK_BOOTTIME second at which the session ends, suspended or not; 0 before there is one."""
    admin_name: str = ""
    admin_fingerprint: str = ""
    network: str = ""
    """The tunnel's own /64, from the moment the session begins to open."""
    address: str = ""
    """The device's own in it, from the moment it is known: that is later where a shared Headscale server gives it out."""
    helpers: tuple[Helper, ...] = ()
    """Who may log in besides the admin, from the answer on."""

    @property
    def approved(self) -> bool:
        return self.approved_for is not None

    @property
    def was_opened(self) -> bool:
        """Whether anything of it was made on the device. Before that, whatever has its names is somebody else's."""
        return bool(self.network)


def save_record(vault: Vault, tunnel: TunnelId, record: Record) -> None:
    fields = {
        "stage": record.stage,
        "device_token": record.device_token.reveal(),
        "requested": record.requested.isoformat(),
        "until": record.until.isoformat(),
        "scope": record.scope.to_dict(),
        "ttl": record.ttl,
        "approved_for": record.approved_for,
        "boottime_limit": record.boottime_limit,
        "admin_name": record.admin_name,
        "admin_fingerprint": record.admin_fingerprint,
        "network": record.network,
        "address": record.address,
        "helpers": [helper.to_json() for helper in record.helpers],
    }
    vault.put(tunnel, _NAME, Secret(json.dumps(fields).encode()))


def load_record(vault: Vault, tunnel: TunnelId) -> Record | None:
    """None when there is none, or when a tool was killed before it was whole: then only names are left to go by.

    Raises UsageError `file.*`, naming the file, when it is there and cannot be gone by.
    """
    stored = vault.get(tunnel, _NAME)
    if stored is None:
        return None
    try:
        fields: dict[str, Any] = json.loads(stored.reveal())
        scope, approved_for = fields.pop("scope"), fields.pop("approved_for")
        return Record(
            device_token=Secret(fields.pop("device_token")),
            requested=datetime.fromisoformat(fields.pop("requested")).astimezone(UTC),
            until=datetime.fromisoformat(fields.pop("until")).astimezone(UTC),
            approved_for=None if approved_for is None else tuple(approved_for),
            scope=Scope(scope["level"], tuple(scope["ports"]), scope["files"]),
            helpers=tuple(Helper.from_json(one) for one in fields.pop("helpers", ())),
            **fields,
        )
    except (ValueError, KeyError, TypeError, AttributeError, MessageError):
        raise UsageError(
            "file.content",
            f"{vault.path(tunnel, _NAME)} is damaged, so nothing is known of session {tunnel[:8]} but its name",
            next_step=f"End it by name: inv stop {tunnel[:8]}",
        ) from None


def save_channel(vault: Vault, tunnel: TunnelId, channel: Channel) -> None:
    """Keep the control channel apart from the record: the keeper moves its counters on while others read the record."""
    vault.put(tunnel, _CHANNEL, channel.dump())


def load_channel(vault: Vault, tunnel: TunnelId) -> Channel | None:
    stored = vault.get(tunnel, _CHANNEL)
    return Channel.load(stored) if stored else None
